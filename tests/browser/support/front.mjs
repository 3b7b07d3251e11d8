// An HTTP proxy in front of the server that was set up wrongly.
import { once } from 'node:events'
import http from 'node:http'

/**
 * Passes requests on.
 * @param {number} port  The server's.
 * @param {{ host?: string, upgrades?: boolean }} wrong  Which name it puts in place of its own, and whether it passes WebSockets on.
 */
export async function misconfigured(port, { host, upgrades = true }) {
  const pass = (request, more) => http.request({ port, host: '127.0.0.1', method: request.method, path: request.url, headers: { ...request.headers, ...host && { host }, ...more } })
  const proxy = http.createServer((request, response) => {
    const { upgrade, connection, ...headers } = request.headers
    request.headers = headers
    const passed = pass(request).on('response', answer => {
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    }).on('error', () => response.destroy())
    request.pipe(passed)
  })
  if (upgrades) proxy.on('upgrade', (request, socket) => {
    socket.on('error', () => {})
    const passed = pass(request)
    passed.on('response', answer => {
      socket.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nContent-Length: 0\r\n\r\n`)
      socket.end()
    }).on('error', () => socket.destroy()).end()
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return { url: `http://127.0.0.1:${proxy.address().port}`, close: () => { proxy.close(); proxy.closeAllConnections() } }
}
