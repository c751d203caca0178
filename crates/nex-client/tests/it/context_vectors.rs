//! NATS CLI contexts against what the Go library reads, saves and selects.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nex_client::connect::{
    Credentials, DEFAULT_SERVER, Identity, Settings, SettingsError, TlsSettings, Unsupported,
};
use nex_client::context::{Context, ContextError, ContextFolder, ContextName, Expansion};
use nex_client::{ConnectOptions, Secret};
use serde_json::Value;

const USER_SEED: &str = "SUALRJ3KDDBCRA2ZREQUMSO52SGP7KLXR6P6BA2FDXFZOI7GA72JCQDMM4";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/nats_context.json")).unwrap()
}

fn section<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    let cases = vectors[name].as_array().unwrap();
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}

/// A folder for `NATS_FILES`, `XDG_CONFIG_HOME` and `~`, as the vectors were made in.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("user.nk"), USER_SEED).unwrap();
        let creds = format!(
            "-----BEGIN NATS USER JWT-----\ne30.e30.x\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{USER_SEED}\n------END USER NKEY SEED------\n"
        );
        fs::write(files.join("me.creds"), creds).unwrap();
        for pem in ["c.pem", "k.pem", "ca.pem"] {
            fs::write(files.join(pem), "").unwrap();
        }
        fs::create_dir_all(folder.path().join("xdg/nats/context")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn expansion(&self) -> Expansion {
        let (files, xdg) = (self.path("files"), self.path("xdg"));
        Expansion::new(Some(self.path("home")), move |name| match name {
            "NATS_FILES" => Some(files.clone()),
            "XDG_CONFIG_HOME" => Some(xdg.clone()),
            _ => None,
        })
    }

    fn contexts(&self) -> ContextFolder {
        ContextFolder::of_user(&self.expansion()).unwrap()
    }

    /// A value of the vectors, with its placeholders filled in.
    fn fill(&self, text: &str) -> String {
        text.replace("{NATS_FILES}", &self.path("files"))
            .replace("{home}", &self.path("home"))
            .replace("{XDG_CONFIG_HOME}", &self.path("xdg"))
    }

    fn save(&self, name: &str, contents: &str) {
        let path = self.contexts().path_of(&name.parse().unwrap());
        fs::write(path, contents).unwrap();
    }
}

fn secret(value: &Option<Secret>) -> &str {
    value.as_ref().map_or("", Secret::expose)
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("")
}

fn check_values(place: &Place, case: &str, context: &Context, meaning: &Value) {
    let servers = context.servers.as_ref().map_or(DEFAULT_SERVER, Secret::expose);
    for (field, value) in [
        ("servers", servers),
        ("description", text(&context.description)),
        ("user", text(&context.user)),
        ("password", secret(&context.password)),
        ("token", secret(&context.token)),
        ("creds", text(&context.creds)),
        ("nkey", text(&context.nkey)),
        ("cert", text(&context.cert)),
        ("key", text(&context.key)),
        ("ca", text(&context.ca)),
        ("socks_proxy", secret(&context.socks_proxy)),
        ("jetstream_domain", text(&context.jetstream_domain)),
        ("jetstream_api_prefix", text(&context.jetstream_api_prefix)),
        ("jetstream_event_prefix", text(&context.jetstream_event_prefix)),
        ("inbox_prefix", text(&context.inbox_prefix)),
        ("user_jwt", secret(&context.user_jwt)),
        ("color_scheme", text(&context.color_scheme)),
    ] {
        let expected = place.fill(meaning[field].as_str().unwrap());
        assert_eq!(value, expected, "{case}: {field}");
    }
    assert_eq!(context.tls_first, meaning["tls_first"].as_bool().unwrap(), "{case}: tls_first");
}

fn check_connection(case: &str, settings: Result<Settings, SettingsError>, meaning: &Value) {
    let options = &meaning["options"];
    let expected = &options["connects_with"];
    if expected["own_dialer"] == true {
        let error = settings.unwrap_err();
        assert!(
            matches!(error, SettingsError::Unsupported(Unsupported::SocksProxy)),
            "{case}: {error}"
        );
        return;
    }
    let servers = meaning["servers"].as_str().unwrap();
    if servers.starts_with("wss://") {
        // WebSockets are unsupported here.
        let error = settings.unwrap_err();
        assert!(matches!(error, SettingsError::Server(_)), "{case}: {error}");
        return;
    }
    let credentials = match settings {
        Err(error) => {
            assert_eq!(options["ok"], false, "{case}: {error}");
            return;
        }
        Ok(ref settings) => Credentials::load(settings),
    };
    let settings = settings.unwrap();
    if options["ok"] == false {
        let error = credentials.expect_err(case);
        let opened = options["error"].as_str().unwrap();
        assert!(opened.contains("open") || opened.contains("op read"), "{case}: {error}");
        return;
    }
    let mut credentials = credentials.unwrap_or_else(|error| panic!("{case}: {error}"));
    if settings.url_login.is_some() {
        // Go takes the login out of the URL later: the vector shows none.
        assert!(credentials.user.is_some() || credentials.token.is_some(), "{case}");
        credentials = Credentials::default();
    }
    let (user, password) = credentials
        .user
        .as_ref()
        .map_or(("", ""), |(user, password)| (user.as_str(), password.expose()));
    let signs_with_jwt = credentials.jwt.is_some() || credentials.creds.is_some();
    let nkey = credentials.nkey_public().unwrap_or_default();
    let TlsSettings { client_certificate, ca, first, .. } = &settings.tls;
    let found = serde_json::json!({
        "user": user,
        "password": password,
        "token": secret(&credentials.token),
        "nkey_public": nkey,
        "signs_with_jwt": signs_with_jwt,
        "signs_nonce": signs_with_jwt || !nkey.is_empty(),
        "tls": settings.tls.required(),
        "client_certificate": client_certificate.is_some(),
        "own_ca": ca.is_some(),
        "tls_first": first,
        "own_dialer": false,
        "inbox_prefix": text(&settings.inbox_prefix),
    });
    assert_eq!(&found, expected, "{case}");
}

#[test]
fn saved_and_hand_written_contexts_mean_what_go_says() {
    let vectors = vectors();
    let place = Place::new();
    let mut seen = BTreeSet::new();
    for case in section(&vectors, "saved").iter().chain(section(&vectors, "hand_written")) {
        let name = case["name"].as_str().unwrap();
        // What Go refused to save left no file to read.
        let Some(file) = case["file"].as_str() else { continue };
        seen.insert(name);
        place.save(name, file);
        let context_name: ContextName = name.parse().unwrap();
        if let Some(path) = case["path"].as_str() {
            let expected = place.fill(path);
            assert_eq!(place.contexts().path_of(&context_name), Path::new(&expected), "{name}");
        }
        let loaded = place.contexts().load(&context_name, &place.expansion());
        if case["load"]["ok"] == false {
            let error = loaded.expect_err(name);
            assert!(
                matches!(error, ContextError::Malformed { .. } | ContextError::Nsc { .. }),
                "{name}: {error}"
            );
            continue;
        }
        let context = loaded.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        check_values(&place, name, &context, &case["meaning"]);
        let settings = Settings::resolve(&ConnectOptions::new(), Some((&context_name, &context)));
        check_connection(name, settings, &case["meaning"]);
    }
    assert!(seen.len() > 40, "{}", seen.len());
}

#[test]
fn names_are_judged_as_in_go() {
    for case in section(&vectors(), "names") {
        let name = case["name"].as_str().unwrap();
        let accepted = name.parse::<ContextName>().is_ok();
        assert_eq!(accepted, case["go"]["ok"].as_bool().unwrap(), "{name:?}");
    }
}

#[test]
fn selection_follows_context_txt() {
    let vectors = vectors();
    let place = Place::new();
    let folder = place.contexts();
    let root = place.folder.path().join("xdg/nats");
    for (index, case) in section(&vectors, "selection").iter().enumerate() {
        let step = case["step"].as_str().unwrap();
        match index {
            1 => {
                place.save("one", r#"{"url":"nats://one"}"#);
                place.save("two", r#"{"url":"nats://two"}"#);
            }
            5 => {
                place.save("empty", "");
                fs::write(root.join("context/notes.txt"), "{}").unwrap();
                fs::create_dir(root.join("context/folder.json")).unwrap();
            }
            _ => {}
        }
        let selected_file = root.join("context.txt");
        match case["context_txt"].as_str() {
            Some(text) => fs::write(&selected_file, text).unwrap(),
            None => assert!(!selected_file.exists(), "{step}"),
        }
        let selected = folder.selected().unwrap().unwrap_or_default();
        assert_eq!(selected, case["selected"].as_str().unwrap(), "{step}");
        let known: Vec<String> = folder.known().iter().map(ToString::to_string).collect();
        assert_eq!(serde_json::json!(known), case["known"], "{step}");

        let expected = &case["load_without_name"];
        let loaded = folder.load_selected(&place.expansion());
        assert_eq!(loaded.is_ok(), expected["ok"].as_bool().unwrap(), "{step}: {loaded:?}");
        let Ok(loaded) = loaded else { continue };
        let (name, context) = match loaded {
            Some((name, context)) => (name.to_string(), context),
            None => (String::new(), Context::default()),
        };
        assert_eq!(name, expected["name"].as_str().unwrap(), "{step}");
        let servers = context.servers.as_ref().map_or(DEFAULT_SERVER, Secret::expose);
        assert_eq!(servers, expected["servers"].as_str().unwrap(), "{step}");
    }
}

#[test]
fn options_go_over_a_context_and_empty_ones_change_nothing() {
    let vectors = vectors();
    let meaning = &vectors["options_over_a_context"]["meaning"];
    let name: ContextName = "one".parse().unwrap();
    let context =
        Context::parse(br#"{"url":"nats://one"}"#, &Expansion::new(None, |_| None)).unwrap();
    let options =
        ConnectOptions::new().server("nats://override").user_and_password("u", "").creds("");
    let settings = Settings::resolve(&options, Some((&name, &context)));
    assert_eq!(settings.as_ref().unwrap().server_list(), "nats://override:4222");
    check_connection("options_over_a_context", settings, meaning);
}

fn resolve(options: &ConnectOptions, context: &str) -> Settings {
    let context = Context::parse(context.as_bytes(), &Expansion::new(None, |_| None)).unwrap();
    Settings::resolve(options, Some((&"c".parse().unwrap(), &context))).unwrap()
}

#[test]
fn an_explicit_credential_replaces_every_kind_in_the_context() {
    let context = r#"{"user":"bob","password":"bobs","token":"t","url":"nats://one"}"#;
    let settings = resolve(&ConnectOptions::new().creds("a.creds"), context);
    assert!(matches!(settings.identity, Identity::Creds(_)));
    assert_eq!(settings.token, None);
    assert_eq!(settings.server_list(), "nats://one:4222");

    let settings = resolve(&ConnectOptions::new().token("mine"), context);
    assert_eq!(settings.identity, Identity::Anonymous);
    assert_eq!(settings.token, Some("mine".into()));

    // The password of bob is for bob only.
    let settings = resolve(&ConnectOptions::new().user_and_password("eve", ""), context);
    assert_eq!(settings.identity, Identity::User { user: "eve".into(), password: "".into() });
    let settings = resolve(&ConnectOptions::new().user_and_password("bob", ""), context);
    assert_eq!(settings.identity, Identity::User { user: "bob".into(), password: "bobs".into() });
    let settings = resolve(&ConnectOptions::new().user_and_password("", "new"), context);
    assert_eq!(settings.identity, Identity::User { user: "bob".into(), password: "new".into() });
}

#[test]
fn what_is_unsupported_is_said_so() {
    let expansion = Expansion::new(None, |_| None);
    for (file, expected) in [
        (r#"{"socks_proxy":"socks5://x:1"}"#, Unsupported::SocksProxy),
        (r#"{"windows_cert_store":"machine"}"#, Unsupported::WindowsCertificateStore),
        (r#"{"creds":"op://vault/item"}"#, Unsupported::OnePassword),
        (r#"{"creds":"nsc://operator/account/user"}"#, Unsupported::Nsc),
    ] {
        let context = Context::parse(file.as_bytes(), &expansion).unwrap();
        let name = "c".parse().unwrap();
        match Settings::resolve(&ConnectOptions::new(), Some((&name, &context))) {
            Err(SettingsError::Unsupported(found)) => assert_eq!(found, expected, "{file}"),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn secrets_do_not_print() {
    let file = r#"{"url":"nats://u:HIDDEN1@h","password":"HIDDEN2","user":"u","token":"HIDDEN3",
        "user_jwt":"HIDDEN4","user_seed":"HIDDEN5"}"#;
    let context = Context::parse(file.as_bytes(), &Expansion::new(None, |_| None)).unwrap();
    let settings = Settings::resolve(
        &ConnectOptions::new().token("HIDDEN6"),
        Some((&"c".parse().unwrap(), &context)),
    )
    .unwrap();
    let credentials = Credentials::load(&settings).unwrap();
    let printed = format!("{settings:?} {credentials:?} {}", settings.server_list());
    assert!(!printed.contains("HIDDEN"), "{printed}");
    assert!(!format!("{context:?}").contains("HIDDEN"), "{context:?}");

    let error = Context::parse(br#"{"password":["HIDDEN"]}"#, &Expansion::new(None, |_| None));
    let error = error.unwrap_err();
    assert!(!format!("{error:?}").contains("HIDDEN"), "{error:?}");
}
