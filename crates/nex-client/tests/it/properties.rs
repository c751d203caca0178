//! Whatever a file, a URL or a file name holds: no panic, and no secret shown.

use std::path::Path;

use nex_client::connect::Server;
use nex_client::context::{Context, ContextFolder, ContextName, Expansion};
use nex_client::deploy::workload_name_of;
use nex_client::protocol::name::WorkloadName;
use proptest::prelude::*;

fn expansion() -> Expansion {
    Expansion::new(Some("/home/me".into()), |name| (name == "A").then(|| "value".into()))
}

proptest! {
    #[test]
    fn any_bytes_are_a_context_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = Context::parse(&bytes, &expansion());
    }

    #[test]
    fn nothing_of_a_password_is_printed(
        field in "password|token|user_jwt|user_seed|url|socks_proxy",
        secret in "[a-zA-Z0-9@:/$~%]{0,20}",
    ) {
        let secret = format!("HIDDEN{secret}");
        let file = serde_json::json!({ field: secret }).to_string();
        let context = Context::parse(file.as_bytes(), &expansion()).unwrap();
        let printed = format!("{context:?}");
        prop_assert!(!printed.contains("HIDDEN"), "{}", printed);
        let url = format!("nats://me:{secret}@host");
        let printed = format!("{:?}", Server::parse_list(&url));
        prop_assert!(!printed.contains("HIDDEN"), "{}", printed);
    }

    #[test]
    fn any_text_is_a_server_list_or_an_error(text in ".{0,64}") {
        if let Ok((servers, _)) = Server::parse_list(&text) {
            // What is printed can be given again and means the same.
            for server in servers {
                let (again, login) = Server::parse_list(&server.to_string()).unwrap();
                prop_assert_eq!(format!("{again:?}"), format!("[{server}]"));
                prop_assert_eq!(login, None);
            }
        }
    }

    #[test]
    fn any_text_expands(text in "[~$a-zA-Z0-9{}_/é-]{0,40}") {
        let expanded = expansion().expand(&text);
        if !text.contains(['$', '~']) {
            prop_assert_eq!(expanded, text);
        }
    }

    #[test]
    fn a_context_name_never_leads_out_of_its_folder(text in "[a./\\\\~ é]{0,12}") {
        if let Ok(name) = text.parse::<ContextName>() {
            let path = ContextFolder::inside("/c").path_of(&name);
            prop_assert_eq!(path.parent(), Some(Path::new("/c/nats/context")));
        }
    }

    #[test]
    fn any_file_name_gives_a_workload_name(text in ".{0,100}") {
        let name = workload_name_of(Path::new(&text));
        prop_assert!(name.as_str().parse::<WorkloadName>().is_ok());
        // A good name stays as it is.
        prop_assert_eq!(workload_name_of(Path::new(name.as_str())), name);
    }
}
