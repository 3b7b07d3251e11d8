// Debian's nginx in front of a server, as operators have it: the whole host, and a path of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { freePort } from '../../browser/support/ports.mjs'

/** Debian installs it where only administrators look. */
const NGINX = process.env.NGINX ?? ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(file => fs.existsSync(file)) ?? 'nginx'

/** Tries for a port, which somebody else may take between asking for it and having it. */
const TRIES = 5

/**
 * Starts nginx in front of a server on loopback; what is below `prefix` reaches the server without it.
 * @param {number} upstream  The server's port.
 * @param {string} prefix  Such as `/talk/`.
 */
export async function startNginx(upstream, prefix) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nginx-'))
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    fs.writeFileSync(path.join(folder, 'nginx.conf'), configuration({ port, upstream, prefix, folder }))
    const child = spawn(NGINX, ['-p', folder, '-c', path.join(folder, 'nginx.conf'), '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] })
    const said = []
    child.stderr.on('data', data => said.push(data))
    const ended = once(child, 'exit')
    const stop = async () => {
      child.kill('SIGTERM')
      await ended
      fs.rmSync(folder, { recursive: true, force: true })
    }
    if (await Promise.race([answers(port), ended.then(() => false)])) return { port, stop }
    if (tries === TRIES) throw new Error(`nginx did not start:\n${said.join('')}`)
  }
}

const configuration = ({ port, upstream, prefix, folder }) => `
  daemon off;
  master_process off;
  pid ${folder}/pid;
  events {}
  http {
    access_log off;
    ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(use => `${use}_temp_path ${folder}/${use};`).join('\n    ')}
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    server {
      listen 127.0.0.1:${port};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 1h;
      location / { proxy_pass http://127.0.0.1:${upstream}; }
      location ${prefix} { proxy_pass http://127.0.0.1:${upstream}/; }
    }
  }
`

/** Waits until somebody accepts connections there. */
async function answers(port) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const accepted = await new Promise(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (accepted) return true
    await new Promise(setImmediate)
  }
}
