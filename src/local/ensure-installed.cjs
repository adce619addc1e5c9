// Before `npm start`, the tests and the bench: runs `npm ci` unless all that package-lock.json names is installed. npm
// writes node_modules/.package-lock.json as the last step of an install, so an interrupted one has none. Uses nothing but
// Node 20's own modules: nothing else may be there yet.

const { spawnSync } = require('node:child_process')
const { existsSync, readFileSync } = require('node:fs')
const { delimiter, join, relative, sep } = require('node:path')

if (!isInstalled()) install()

function install() {
  if (process.platform === 'win32' && process.execPath.includes(join('node_modules', 'node', 'bin'))) {
    // Windows cannot remove a running program: npm would stop half-way, with an EPERM.
    console.error('What is installed is not what package-lock.json names. Run: npm ci')
    process.exitCode = 1
    return
  }
  // npm says nothing until it is done.
  console.log('Installing (npm ci) ...')
  // npm itself must not run on the Node in node_modules, which it is about to replace.
  const path = (process.env.PATH ?? '').split(delimiter)
  process.env.PATH = path.filter((folder) => !folder.endsWith(join('node_modules', '.bin'))).join(delimiter)
  const npm = spawnSync('npm ci --no-audit --no-fund --loglevel=error', { stdio: 'inherit', shell: true })
  process.exitCode = npm.status ?? 1
}

function isInstalled() {
  const root = projectRoot()
  const wanted = readPackages(join(root, 'package-lock.json'))
  const installed = readPackages(join(root, 'node_modules/.package-lock.json'))
  if (!wanted || !installed) return false
  return Object.entries(wanted).every(([folder, { version, integrity, optional }]) => {
    if (folder === '') return true
    const found = installed[folder]
    // Packages for other platforms are optional, and absent here.
    if (!found) return optional === true
    return found.version === version && found.integrity === integrity && existsSync(join(root, folder, 'package.json'))
  })
}

/** Where npm installs: here, or where this is a workspace, in the project around it. */
function projectRoot() {
  const root = process.env.npm_config_local_prefix
  if (!root) return '.'
  // npm hands it on to all that it starts: it may be that of some other project.
  const here = relative(root, process.cwd()).replaceAll(sep, '/')
  return readPackages(join(root, 'package-lock.json'))?.[here] ? root : '.'
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? null
  } catch {
    return null // Not there, or cut off in the middle: to be installed either way.
  }
}
