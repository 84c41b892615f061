//! What is written for people and for other tools, on a record that was made up.

use super::{figures, page};
use crate::check::{Property, Thresholds, judge};
use crate::specimen;

#[test]
fn the_page_has_every_property_with_its_chances_and_its_bound() {
    let mut record = specimen::clean(3, 30);
    record.settings.command = "quorate-jepsen run --seed 3 <&>".to_owned();
    record.settings.not_tested = vec!["the weather".to_owned()];
    record.settings.thresholds = Thresholds { waits: 7, ..Thresholds::default() };
    let judgement = judge(&record);
    let page = page::page(&record, &judgement, &[], None);
    for property in Property::ALL {
        assert!(page.contains(property.statement()), "{property:?} is missing");
    }
    let answers = judgement.of(Property::Answers).expect("it is judged");
    let bound = format!("{:.1e}", answers.upper_bound().expect("there were chances and no violation"));
    let texts = [
        "unknown: too little was seen",
        "2 voters, 1 learners",
        "7 are needed",
        "the weather",
        "--seed 3 &lt;&amp;&gt;",
    ];
    for text in texts.into_iter().chain([bound.as_str()]) {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
}

#[test]
fn registers_are_told_in_the_form_of_a_compare_and_set_register() {
    let told = figures::registers(&specimen::clean(4, 40));
    let all: String = told.values().cloned().collect();
    assert!(!told.is_empty());
    for f in [":f :read", ":f :write", ":f :cas"] {
        assert!(all.contains(f), "{f} is missing in {all}");
    }
    for line in all.lines() {
        assert!(line.starts_with("{:f :") && line.contains(":type :") && line.ends_with('}'), "{line}");
    }
}
