//! What holds of people: who is known, and whose tickets are.

use std::collections::BTreeSet;

use anyhow::Result;
use penholder_desk::{KnownPerson, PeopleFilter, PeoplePage};
use penholder_lease::Role;
use penholder_ticket::TicketId;

use crate::rules::code;
use crate::stage::{Site, execute, texts, ticket};

pub(crate) async fn people_are_made_known_together(site: Site) -> Result<()> {
    let person =
        |id: &str, name: &str, role| KnownPerson { id: id.into(), name: name.to_owned(), role };
    site.tickets.put_people(&[]).await?;
    let twice = [
        person("ada", "A", Role::Agent),
        person("ben", "B", Role::Agent),
        person("ada", "Ada", Role::Admin),
    ];
    site.tickets.put_people(&twice).await?;
    site.tickets.put_people(&[person("ben", "B", Role::Customer)]).await?;
    let nul = [person("cay", "C", Role::Agent), person("d\0", "D", Role::Agent)];
    assert!(site.tickets.put_people(&nul).await.is_err());
    let known = "SELECT id || ' ' || name || ' ' || role FROM people ORDER BY id";
    assert_eq!(texts(&site.place, known).await?, ["ada Ada admin", "ben B customer"]);
    Ok(())
}

pub(crate) async fn people_are_found_in_the_order_of_their_names(site: Site) -> Result<()> {
    let made = [
        ("a@b.c", "Zoë Ärger", Role::Agent),
        ("ann", "Ann", Role::Agent),
        ("Ann", "Ann", Role::Admin),
        ("per", "100% Per", Role::Admin),
        ("u_1", "ann", Role::Agent),
        ("soph", "ΣΟΦΟΣ", Role::Agent),
        ("carl", "Ann", Role::Customer),
        ("vic", "Vic", Role::Viewer),
    ];
    let people =
        made.map(|(id, name, role)| KnownPerson { id: id.into(), name: name.to_owned(), role });
    site.tickets.put_people(&people).await?;
    let found = async |roles: &[Role], text: Option<&str>, limit: u32| {
        let text = text.map(str::to_owned);
        let filter = PeopleFilter { roles: roles.iter().copied().collect(), text };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = PeoplePage::new(limit, cursor.as_deref())?;
            let listed = site.tickets.people(&filter, &page).await?;
            assert!(listed.items.len() <= limit as usize);
            seen.extend(listed.items.into_iter().map(|it| it.id.as_str().to_owned()));
            cursor = listed.next_cursor;
            if cursor.is_none() {
                return anyhow::Ok(seen);
            }
        }
    };
    let everybody = ["per", "Ann", "ann", "carl", "vic", "a@b.c", "u_1", "soph"];
    for limit in [1, 3, 8, 1_000] {
        assert_eq!(found(&[], None, limit).await?, everybody, "{limit}");
    }
    let staff = [Role::Agent, Role::Admin];
    assert_eq!(found(&staff, None, 2).await?, ["per", "Ann", "ann", "a@b.c", "u_1", "soph"]);
    assert_eq!(found(&[Role::Viewer], None, 2).await?, ["vic"]);
    assert!(found(&[Role::Guest], None, 2).await?.is_empty());
    for (text, expected) in [
        ("ANN", &["Ann", "ann", "u_1"][..]),
        ("%", &["per"]),
        ("_", &["u_1"]),
        ("\\", &[]),
        ("äRG", &["a@b.c"]),
        ("B.C", &["a@b.c"]),
        ("ΣΟΦΟΣ", &["soph"]),
        ("", &["per", "Ann", "ann", "a@b.c", "u_1", "soph"]),
    ] {
        assert_eq!(found(&staff, Some(text), 2).await?, expected, "{text}");
    }
    // Who was known before names were looked for is found when they come again.
    execute(&site.place, "UPDATE people SET folded = '' WHERE id = 'ann'").await?;
    assert_eq!(found(&staff, Some("ann"), 2).await?, ["Ann", "u_1"]);
    site.tickets.put_people(&people).await?;
    assert_eq!(found(&staff, Some("ann"), 2).await?, ["Ann", "ann", "u_1"]);
    for (limit, cursor) in [(0, None), (1_001, None), (1, Some("x")), (1, Some("x\0y\0z"))] {
        assert_eq!(code(PeoplePage::new(limit, cursor)), Some("invalid_page"));
    }
    let page = PeoplePage::new(1, None)?;
    for text in ["a\0".to_owned(), "x".repeat(256)] {
        let filter = PeopleFilter { text: Some(text), ..PeopleFilter::default() };
        assert_eq!(code(site.tickets.people(&filter, &page).await), Some("invalid_page"));
    }
    Ok(())
}

pub(crate) async fn owner_is_told_from_everybody_else(site: Site) -> Result<()> {
    let mut work = site.by("eve").await?;
    let mut ids = Vec::new();
    for owner in [Some("carl"), Some("dora"), None, Some("carl"), Some("carl")] {
        ids.push(work.create(ticket("t", owner)?).await?.id);
    }
    work.commit().await?;
    site.delete(ids[4]).await?;
    let nobodys = TicketId::new(7);
    let all: BTreeSet<_> = ids.iter().copied().chain([nobodys]).collect();
    let owned = async |owner: &str| site.tickets.owned(&owner.into(), &all).await;
    assert_eq!(owned("carl").await?, [ids[0], ids[3]].into());
    assert_eq!(owned("dora").await?, [ids[1]].into());
    for stranger in ["", "eve", "c%", "carl\0"] {
        assert!(owned(stranger).await?.is_empty(), "{stranger:?}");
    }
    assert!(site.tickets.owned(&"carl".into(), &BTreeSet::new()).await?.is_empty());
    let newest = async |owner: &str, limit| site.tickets.newest_of(&owner.into(), limit).await;
    assert_eq!(newest("carl", 10).await?, [ids[0], ids[3]].into());
    assert_eq!(newest("carl", 1).await?.len(), 1);
    assert!(newest("eve", 10).await?.is_empty() && newest("carl\0", 10).await?.is_empty());
    Ok(())
}
