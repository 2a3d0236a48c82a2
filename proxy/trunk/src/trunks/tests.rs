use super::*;
use crate::Network;
use crate::test::base;

fn trunks(make: impl Fn(&mut Trunk)) -> Trunks {
    let made = ["a", "b", "c"].map(|name| {
        let mut trunk = Trunk::new(name, &format!("{name}.example"));
        make(&mut trunk);
        trunk
    });
    Trunks::new(made.into(), None)
}

fn names(order: &[Line]) -> String {
    order.iter().map(|line| line.trunk().name.as_str()).collect()
}

#[test]
fn without_weights_the_list_decides_and_with_priorities_they_do() {
    let pick = |_| panic!("nothing to draw");
    assert_eq!(
        names(&trunks(|_| {}).in_order(&["c", "a", "nobody", "b"], pick)),
        "cab"
    );
    let by_priority = trunks(|trunk| trunk.priority = u16::from(trunk.name != "b"));
    assert_eq!(names(&by_priority.in_order(&["c", "a", "b"], pick)), "bca");
}

#[test]
fn among_equals_weight_is_a_share_of_the_calls() {
    let weighted = trunks(|trunk| trunk.weight = if trunk.name == "a" { 3 } else { 1 });
    let mut first = HashMap::<String, u32>::new();
    for number in 0..5 {
        let order = weighted.in_order(&["a", "b", "c"], |below| number % below);
        assert_eq!(order.len(), 3, "each is tried once");
        *first.entry(order[0].trunk().name.clone()).or_default() += 1;
    }
    assert_eq!((first["a"], first["b"], first["c"]), (3, 1, 1));
}

#[test]
fn the_narrowest_network_says_whose_call_it_is() {
    let nets = |name: &str| match name {
        "a" => "198.51.100.0/24",
        "b" => "198.51.100.7/32",
        _ => "198.51.100.0/24",
    };
    let trunks = trunks(|trunk| {
        let (addr, prefix) = nets(&trunk.name).split_once('/').unwrap();
        trunk.trust_from = vec![Network {
            address: addr.parse().unwrap(),
            prefix: prefix.parse().unwrap(),
        }];
    });
    let name = |source: &str| {
        trunks
            .by_source(source.parse().unwrap())
            .map(|line| line.trunk().name.clone())
    };
    assert_eq!(name("198.51.100.7").as_deref(), Some("b"));
    assert_eq!(name("198.51.100.8").as_deref(), Some("a"), "the first of equals");
    assert_eq!(name("203.0.113.1"), None);
}

#[test]
fn a_proven_name_says_whose_call_it_is_and_no_name_says_nothing() {
    let trunks = trunks(|trunk| trunk.trust_names = vec![format!("sbc.{}.example", trunk.name)]);
    let name = |proven: &[&str]| {
        let proven: Vec<String> = proven.iter().map(|&name| name.to_owned()).collect();
        trunks.by_proof(&proven).map(|line| line.trunk().name.clone())
    };
    assert_eq!(name(&["other.example", "sbc.b.example"]).as_deref(), Some("b"));
    assert_eq!(name(&["b.example"]), None);
    assert_eq!(name(&[]), None);
}

#[test]
fn a_full_trunk_takes_no_call_but_an_emergency() {
    let trunks = trunks(|trunk| trunk.calls_max = Some(1));
    let (line, now) = (trunks.get("a").unwrap(), base());
    let first = line.take(now, false).unwrap();
    assert_eq!(line.take(now, false).unwrap_err(), Unusable::Full);
    let emergency = line.take(now, true).unwrap();
    assert_eq!(line.view(now).calls, 2);
    drop((first, emergency));
    assert_eq!((line.view(now).calls, line.view(now).counters.over_limit), (0, 1));
    assert!(line.take(now, false).is_ok());
}

#[test]
fn calls_of_one_second_have_a_limit() {
    let trunks = trunks(|trunk| trunk.calls_per_second_max = Some(2));
    let (line, now) = (trunks.get("a").unwrap(), base());
    for _ in 0..2 {
        drop(line.take(now, false).unwrap());
    }
    assert_eq!(
        line.take(now + Duration::from_millis(999), false).unwrap_err(),
        Unusable::TooFast
    );
    assert!(line.take(now + Duration::from_secs(1), false).is_ok());
}

#[test]
fn a_trunk_that_is_down_or_wants_rest_is_left_alone() {
    let trunks = trunks(|_| {});
    let (line, now) = (trunks.get("a").unwrap(), base());
    assert_eq!(line.view(now).state, TrunkState::Unknown);
    line.set_up(false);
    assert_eq!(line.take(now, false).unwrap_err(), Unusable::Down);
    assert!(line.take(now, true).is_ok(), "an emergency tries");
    line.set_up(true);
    line.rest(now, Some(Duration::from_secs(10)));
    line.rest(now, Some(Duration::from_secs(5)));
    line.rest(now, None);
    let almost = now + Duration::from_millis(9_999);
    assert_eq!(line.take(almost, false).unwrap_err(), Unusable::Resting);
    assert!(line.take(now + Duration::from_secs(10), false).is_ok());
    line.rest(now, Some(Duration::from_secs(86_400)));
    assert!(
        line.take(now + REST_MAX, false).is_ok(),
        "no trunk is off for a day"
    );
}

#[test]
fn calls_go_on_over_a_reload() {
    let (before, now) = (trunks(|_| {}), base());
    let channel = before.get("a").unwrap().take(now, false).unwrap();
    let mut again = Trunk::new("a", "other.example");
    again.calls_max = Some(1);
    let after = Trunks::new(vec![again], Some(&before));
    let line = after.get("a").unwrap();
    assert_eq!(line.take(now, false).unwrap_err(), Unusable::Full);
    drop(channel);
    assert!(line.take(now, false).is_ok());
}

#[test]
fn a_trunk_that_took_our_registration_calls_from_there() {
    let trunks = trunks(|_| {});
    let (line, now) = (trunks.get("b").unwrap(), base());
    let name = |source: &str| {
        trunks
            .by_source(source.parse().unwrap())
            .map(|line| line.trunk().name.clone())
    };
    assert_eq!(name("203.0.113.5"), None);
    line.set_registered(now + Duration::from_secs(60), "203.0.113.5".parse().unwrap());
    assert_eq!(name("::ffff:203.0.113.5").as_deref(), Some("b"));
    line.set_unregistered(now, "503 Busy".to_owned());
    assert_eq!(line.view(now).registered_s, Some(60), "good until it ends");
    let later = now + Duration::from_secs(60);
    line.set_unregistered(later, "503 Busy".to_owned());
    assert_eq!(line.view(later).registration_error.as_deref(), Some("503 Busy"));
    assert_eq!(name("203.0.113.5"), None);
}

#[test]
fn calls_come_in_from_a_trunk_that_is_down_but_not_beyond_its_channels() {
    let trunks = trunks(|trunk| trunk.calls_max = Some(1));
    let (line, now) = (trunks.get("a").unwrap(), base());
    line.set_up(false);
    let channel = line.take_in(now).unwrap();
    assert_eq!(line.take_in(now).unwrap_err(), Unusable::Full);
    drop(channel);
    assert_eq!((line.view(now).calls, line.view(now).counters.calls_in), (0, 1));
}

#[test]
fn one_user_has_only_so_many_calls_and_gets_each_back() {
    let trunks = trunks(|trunk| trunk.calls_per_user_max = Some(1));
    let (line, now) = (trunks.get("a").unwrap(), base());
    let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
    let first = line.take_for(now, Some(&alice), false, None).unwrap();
    assert_eq!(line.refuses(now, "alice"), Some(Unusable::FullForUser));
    assert_eq!(
        line.take_for(now, Some(&alice), false, None).unwrap_err(),
        Unusable::FullForUser
    );
    assert_eq!(line.refuses(now, "bob"), None);
    let help = line.take_for(now, Some(&alice), true, None).unwrap();
    drop((first, line.take_for(now, Some(&bob), false, None).unwrap()));
    assert_eq!(
        line.refuses(now, "alice"),
        Some(Unusable::FullForUser),
        "help counts"
    );
    drop(help);
    assert_eq!(line.refuses(now, "alice"), None);
    assert_eq!(line.view(now).counters.over_user_limit, 1);
}

fn take(line: &Line, user: &Arc<str>, held: Option<&Channel>) -> Result<Channel, Unusable> {
    line.take_for(base(), Some(user), false, held)
}

#[test]
fn one_user_has_only_so_many_calls_over_all_trunks() {
    let both = Trunks::new(vec![Trunk::new("a", "h"), Trunk::new("b", "h")], None);
    let both = both.with_calls_per_user_max(Some(1));
    let (a, b, now) = (both.get("a").unwrap(), both.get("b").unwrap(), base());
    let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
    let first = take(a, &alice, None).unwrap();
    assert_eq!(take(b, &alice, None).unwrap_err(), Unusable::UserFull);
    assert_eq!(b.refuses(now, "alice"), Some(Unusable::UserFull));
    assert_eq!(b.view(now).counters.over_all_user_limit, 1);
    // Another leg of the same call is the same call, and it lasts as long as one of them.
    let second = take(b, &alice, Some(&first)).unwrap();
    drop(first);
    assert_eq!(take(a, &alice, None).unwrap_err(), Unusable::UserFull);
    let emergency = b.take_for(now, Some(&alice), true, None).unwrap();
    take(a, &bob, None).unwrap();
    drop(second);
    assert_eq!(a.refuses(now, "alice"), Some(Unusable::UserFull), "help counts");
    // Another configuration knows of the calls of the one before.
    let reloaded = Trunks::new(vec![Trunk::new("c", "h")], Some(&both)).with_calls_per_user_max(Some(1));
    let c = reloaded.get("c").unwrap();
    assert_eq!(c.refuses(now, "alice"), Some(Unusable::UserFull));
    drop(emergency);
    assert_eq!(c.refuses(now, "alice"), None);
    assert_ne!(both, both.clone().with_calls_per_user_max(None));
}
