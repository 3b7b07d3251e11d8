//! Which STUN and TURN servers clients are told of.

use serde_json::value::to_raw_value;
use switchboard_signalling::core::{IceGrant, IceRequest, IceSource};
use switchboard_wire::rooms::IceServers;

use crate::Config;

/// What there is to offer.
#[derive(Debug)]
pub(crate) struct IceOffers {
    /// The servers that the operator names, for everybody.
    configured: IceServers,
}

impl IceOffers {
    pub(crate) fn new(config: &Config) -> Self {
        // Serialising our own types has no way to fail: string keys only, no IO.
        Self { configured: to_raw_value(&config.ice_servers).map(IceServers::new).unwrap_or_default() }
    }
}

impl IceSource for IceOffers {
    fn grant(&self, _: IceRequest<'_>) -> IceGrant {
        IceGrant { servers: self.configured.clone(), lifetime: None }
    }
}
