//! Random identifiers, unguessable and unique enough to need no agreement.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'

/** 72 random bits as 12 characters. */
export const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), byte => ALPHABET[byte & 63]).join('')
