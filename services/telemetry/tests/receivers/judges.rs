//! The judges complain about what is wrong: an empty answer of theirs is worth something.

use serde_json::json;

use crate::fixture::{Tools, promtool_complaints, relay_complaints};

#[test]
fn the_normaliser_complains_about_a_level_and_a_trace_that_are_none() {
    let Some(tools) = Tools::find() else { return };
    let id = "0af7651916cd43dd8448eb211c80319c";
    let good = json!({"event_id": id, "level": "error", "contexts": {"trace": {"trace_id": id, "span_id": "b7ad6b7169203331"}}});
    assert_eq!(relay_complaints(&tools, &[&good]), [json!(null); 0]);
    let mut bad_level = good.clone();
    bad_level["level"] = json!("terrible");
    let mut bad_trace = good.clone();
    bad_trace["contexts"]["trace"]["trace_id"] = json!("of no use");
    for bad in [bad_level, bad_trace] {
        assert_ne!(
            relay_complaints(&tools, &[&good, &bad]),
            [json!(null); 0],
            "about {bad:#}"
        );
    }
}

#[test]
fn promtool_complains_about_a_name_and_a_text_that_prometheus_refuses() {
    let Some(tools) = Tools::find() else { return };
    let good = "# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total 1\n";
    assert_eq!(promtool_complaints(&tools, good), "");
    let nameless = good.replace("_total", "");
    let unreadable = good.replace("total 1", "total one");
    for bad in [nameless, unreadable] {
        assert_ne!(promtool_complaints(&tools, &bad), "", "about\n{bad}");
    }
}
