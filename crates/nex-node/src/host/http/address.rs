//! Which addresses are public: a pure policy.
//!
//! Only what is known to be on the public internet passes. Forms that carry another address inside
//! (mapped, 6to4, NAT64) are judged by that one, since that is where a packet would end up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not the public internet (IANA's special-purpose registry), as network
/// and length of its prefix.
const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared by carriers (CGNAT); some clouds have their metadata service there.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, with the metadata service of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    // Relays of 6to4.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and broadcast.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Networks inside the global unicast range of IPv6 that are not the public internet.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments, Teredo and ORCHID among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // AS112.
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    // Documentation.
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inside) => is_public_v4(inside),
            None => is_public_v6(address),
        },
    }
}

/// The form of an address that rules are about: an IPv4 address that came as a mapped one is
/// itself.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(network, prefix)| {
        (bits ^ network.to_bits()).checked_shr(32 - prefix).unwrap_or(0) == 0
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Everything global is in 2000::/3 so far; loopback, link-local, unique local, site-local,
    // multicast, discard and local NAT64 are not.
    let [first, ..] = address.octets();
    let bits = address.to_bits();
    first >> 5 == 0b001
        && !SPECIAL_V6.iter().any(|(network, prefix)| {
            (bits ^ network.to_bits()).checked_shr(128 - prefix).unwrap_or(0) == 0
        })
}

/// The IPv4 address that a packet to this one would reach.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, ..] = address.segments();
    let low = Ipv4Addr::from_bits((address.to_bits() & u128::from(u32::MAX)) as u32);
    match [a, b, c, d, e, f] {
        // ::ffff:0:0/96, mapped.
        [0, 0, 0, 0, 0, 0xffff] => Some(low),
        // 64:ff9b::/96, NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0] => Some(low),
        // 2002::/16, 6to4.
        [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn what_is_not_the_internet() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::",
            "2001::1",
            "2001:0:4136:e378::",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
            "4000::1",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn what_is() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    proptest! {
        /// Every way to write an IPv4 address inside an IPv6 one is judged as the address itself.
        #[test]
        fn disguises_change_nothing(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let expected = is_public(plain.into());
            let [a, b, c, d] = plain.octets();
            let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, pair(a, b), pair(c, d));
            let six_to_four = Ipv6Addr::new(0x2002, pair(a, b), pair(c, d), 7, 0, 0, 0, 1);
            prop_assert_eq!(is_public(plain.to_ipv6_mapped().into()), expected);
            prop_assert_eq!(is_public(nat64.into()), expected);
            prop_assert_eq!(is_public(six_to_four.into()), expected);
            prop_assert!(!is_public(plain.to_ipv6_compatible().into()));
        }

        /// What the standard library knows to be special is never public.
        #[test]
        fn nothing_special_is_public(v4: u32, v6: u128) {
            let v4 = Ipv4Addr::from_bits(v4);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local()
                || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified()
                || v4.is_documentation();
            prop_assert!(!(special && is_public(v4.into())));
            let v6 = Ipv6Addr::from_bits(v6);
            let special = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()
                || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!(special && is_public(v6.into())));
        }
    }
}
