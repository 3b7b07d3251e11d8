// Says why there can be no lab on this machine, and nothing where there can: for who decides whether to run the suite.
import { unavailable } from './support/namespaces.mjs'

const reason = unavailable()
if (reason) console.log(reason)
