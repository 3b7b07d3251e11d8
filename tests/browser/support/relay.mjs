// A server that relays over UDP, TCP and TLS on the loopback interface, and browsers that trust its certificate.
import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { chromium } from 'playwright-core'
import puppeteer from 'puppeteer-core'
import { ARGS, EXECUTABLE } from './browser.mjs'
import { startServer } from './server.mjs'

/** What a test that makes credentials of its own shares with the server. */
export const SECRET = 'a-secret-that-only-the-tests-know-0123456789'

/**
 * Starts a server that relays. Its pages reach the relay by the host name of their own address: at `url` that is an
 * address, at `named` a name, without which Firefox does no TLS.
 * @param {string[]} [flags]
 */
export async function startRelay(flags = []) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'switchboard-relay-'))
  const [key, certificate] = ['key.pem', 'certificate.pem'].map(name => path.join(folder, name))
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', certificate,
    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const server = await startServer(0, ['--turn-listen', '127.0.0.1:0', '--turn-tls-listen', '127.0.0.1:0', '--turn-certificate', certificate,
    '--turn-private-key', key, '--set', 'turn.relay_addresses=127.0.0.1', '--set', 'turn.allow_loopback_peers=true',
    '--set', `turn.secret=${SECRET}`, ...flags])
  const { publicKey } = new X509Certificate(fs.readFileSync(certificate))
  return {
    ...server,
    named: `http://localhost:${server.port}`,
    /** By which Chromium is told to trust the certificate. */
    pin: createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64'),
    async stop() {
      await server.stop()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Chromium that trusts the relay's certificate. */
export const launchTrusting = ({ pin }, args = []) =>
  chromium.launch({ executablePath: EXECUTABLE, args: [...ARGS, `--ignore-certificate-errors-spki-list=${pin}`, ...args] })

/** Firefox that takes any certificate, and servers on the loopback interface. */
export const launchFox = () => puppeteer.launch({
  browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true, acceptInsecureCerts: true,
  extraPrefsFirefox: { 'media.peerconnection.ice.obfuscate_host_addresses': false, 'media.peerconnection.ice.loopback': true },
})
