//! What wit-bindgen makes of `wit/plugin.wit`.
//!
//! The capabilities are one piece. Of the exports each interface is a piece with a macro of its own, so that a plugin
//! exports the phases it names to [`export!`](crate::export) and no others; the linker unites the pieces.
#![expect(missing_docs, reason = "generated")]

pub mod imports {
    wit_bindgen::generate!({ path: "../../wit/plugin.wit", world: "capabilities" });
}

pub mod setup {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        inline: "package fireguard:sdk; world setup { export fireguard:plugin/setup@0.1.0; }",
        world: "fireguard:sdk/setup",
        with: { "fireguard:plugin/types@0.1.0": crate::guest::bindings::imports::fireguard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_setup",
    });
}

pub mod request {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        inline: "package fireguard:sdk; world request { export fireguard:plugin/request@0.1.0; }",
        world: "fireguard:sdk/request",
        with: { "fireguard:plugin/types@0.1.0": crate::guest::bindings::imports::fireguard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_request",
    });
}

pub mod resources {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        inline: "package fireguard:sdk; world resources { export fireguard:plugin/resources@0.1.0; }",
        world: "fireguard:sdk/resources",
        with: { "fireguard:plugin/types@0.1.0": crate::guest::bindings::imports::fireguard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_resources",
    });
}

pub mod written {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        inline: "package fireguard:sdk; world written { export fireguard:plugin/written@0.1.0; }",
        world: "fireguard:sdk/written",
        with: { "fireguard:plugin/types@0.1.0": crate::guest::bindings::imports::fireguard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_written",
    });
}

pub mod ingest {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        inline: "package fireguard:sdk; world ingest { export fireguard:plugin/ingest@0.1.0; }",
        world: "fireguard:sdk/ingest",
        with: { "fireguard:plugin/types@0.1.0": crate::guest::bindings::imports::fireguard::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_ingest",
    });
}
