// npm `peer` in a process of its own, so that it can be killed; says which port it got.
import { PeerServer } from 'peer'

const settings = JSON.parse(process.argv[2])
const app = PeerServer({ host: '127.0.0.1', ...settings }, server => console.log(server.address().port))
// What its command does with frames that it cannot read; without this they end the process.
app.on('error', () => {})
