// Loaded before wrangler (`node --import`): ends wrangler when the process that started it is gone, even by `kill -9`, so
// that no orphan keeps the port.

process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref()
