//! IP networks, as `192.168.127.0/24`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').ok_or(())?;
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix.starts_with('+') {
            return Err(());
        }
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or(())?;
        Ok(Self { address, prefix })
    }
}

impl Subnet {
    /// Whether an address lies in it.
    pub fn contains(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let outside = 32 - u32::from(self.prefix);
                (a.to_bits() ^ b.to_bits()).checked_shr(outside).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let outside = 128 - u32::from(self.prefix);
                (a.to_bits() ^ b.to_bits()).checked_shr(outside).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The address that CNI's `ptp` gives the host: the first after the network's own.
    pub(super) fn gateway(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits((address.to_bits() & mask) | 1))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits((address.to_bits() & mask) | 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_lies_in_it() {
        let holds = |subnet: &str, address: &str| {
            subnet.parse::<Subnet>().unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("192.168.127.0/24", "192.168.127.255"));
        assert!(!holds("192.168.127.0/24", "192.168.128.1"));
        assert!(holds("10.1.2.3/8", "10.255.0.1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("192.168.127.1/32", "192.168.127.2"));
        assert!(holds("fd00::/8", "fd12::1"));
        assert!(!holds("0.0.0.0/0", "::1"));
    }

    #[test]
    fn its_gateway_is_the_first_address() {
        let gateway = |subnet: &str| subnet.parse::<Subnet>().unwrap().gateway().to_string();
        assert_eq!(gateway("192.168.127.0/24"), "192.168.127.1");
        assert_eq!(gateway("10.7.9.4/16"), "10.7.0.1");
        assert_eq!(gateway("fd00::/64"), "fd00::1");
    }

    #[test]
    fn refuses_what_is_no_network() {
        for text in
            ["", "192.168.127.0", "192.168.127.0/33", "a/24", "1.2.3.4/-1", "1.2.3.4/+4", "::/129"]
        {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
