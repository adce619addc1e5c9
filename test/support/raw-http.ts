// HTTP as an attacker writes it: bytes over a socket, without a client that would refuse to send them.

import { connect } from 'node:net'

interface RawAnswer {
  status: number
  text: string
}

/**
 * Sends the bytes and reads until the server closes or, once it has answered, falls silent. An attack that is answered
 * with nothing but a closed connection has no answers.
 */
export function sendRaw(url: string, text: string): Promise<RawAnswer[]> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(Number(port), hostname)
    const done = () => {
      socket.destroy()
      resolve(answersIn(received))
    }
    socket.setTimeout(30_000, done)
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      socket.setTimeout(150, done)
    })
    socket.on('error', done)
    socket.on('close', done)
    socket.write(Buffer.from(text, 'latin1'))
  })
}

/** Asks for a websocket, as `fetch` would not. */
export function askForWebsocket(url: string, path: string, key: string): Promise<RawAnswer[]> {
  const head = [
    `GET ${path} HTTP/1.1`,
    'Host: x',
    `Authorization: Bearer ${key}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  return sendRaw(url, `${head.join('\r\n')}\r\n\r\n`)
}

const answersIn = (text: string): RawAnswer[] =>
  text
    .split(/(?=HTTP\/1\.[01] \d{3} )/)
    .filter((part) => part.startsWith('HTTP/'))
    .map((part) => ({ status: Number(part.slice(9, 12)), text: part }))
