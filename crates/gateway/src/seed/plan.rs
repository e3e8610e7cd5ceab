//! Who writes what to which ticket: the same stories for the same seed, each independent of how many there are.

use std::num::NonZeroU32;

use penholder_ticket::{Category, Priority, Status};
use serde_json::{Value, json};

use super::subjects::{FIRMS, FOLLOW_UPS, PLANS, SUBJECTS, Says, Subject};

/// Somebody of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) user: &'static str,
    pub(super) name: &'static str,
    pub(super) role: &'static str,
    pub(super) kind: &'static str,
}

const fn human(user: &'static str, name: &'static str, role: &'static str) -> Person {
    Person { user, name, role, kind: "human" }
}

/// Who makes the others known.
pub(super) const ADMIN: Person = human("mei", "Mei Tanaka", "admin");

/// Everybody, those of the console's sign-in page under the same names.
pub(super) static PEOPLE: [Person; PEOPLE_LEN] = [
    human("ada", "Ada Okafor", "agent"),
    human("bruno", "Bruno Salas", "agent"),
    ADMIN,
    Person { user: "quill", name: "Quill", role: "agent", kind: "ai" },
    human("tomas", "Tomas Novak", "customer"),
    human("lena", "Lena Fischer", "customer"),
    human("kofi", "Kofi Mensah", "customer"),
    human("ines", "Inês Duarte", "customer"),
    human("haruto", "Haruto Ito", "customer"),
    human("priya", "Priya Raman", "customer"),
    human("oskar", "Oskar Lindqvist", "customer"),
    human("yara", "Yara Benali", "customer"),
];
/// How many they are.
pub(super) const PEOPLE_LEN: usize = 12;
const AGENTS: usize = 4;
/// How often each of the agents gets a ticket, in this proportion.
const AGENT_WEIGHTS: [u64; AGENTS] = [4, 4, 2, 1];

impl Person {
    /// Their place among [`PEOPLE`].
    pub(super) fn place(&self) -> usize {
        PEOPLE.iter().position(|person| person == self).unwrap_or_default()
    }
}

/// A ticket as its customer makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) category: Category,
    pub(super) priority: Priority,
}

impl Draft {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "title": self.title,
            "description": self.description,
            "category": self.category.as_str(),
            "priority": self.priority.as_str(),
        })
    }
}

/// What somebody does with a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Comment {
        by: &'static Person,
        text: String,
        is_internal: bool,
        /// Which step it answers.
        answers: Option<usize>,
    },
    Transition {
        by: &'static Person,
        to: Status,
        reason: Option<&'static str>,
    },
    Assign {
        by: &'static Person,
        to: &'static Person,
    },
    Priority {
        by: &'static Person,
        to: Priority,
    },
}

/// The life of one ticket so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Story {
    /// From 1.
    pub(super) number: u32,
    pub(super) by: &'static Person,
    pub(super) draft: Draft,
    pub(super) steps: Vec<Step>,
}

/// How far a story has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Assigned,
    Talking,
    WaitingForUser,
    WaitingForAgent,
    Resolved,
    Closed,
    Reopened,
}

/// Of a hundred tickets, how many are at which stage.
const STAGES: [(Stage, u64); 8] = [
    (Stage::New, 20),
    (Stage::Assigned, 9),
    (Stage::Talking, 18),
    (Stage::WaitingForUser, 15),
    (Stage::WaitingForAgent, 11),
    (Stage::Resolved, 14),
    (Stage::Closed, 10),
    (Stage::Reopened, 3),
];

/// Tells `count` stories.
pub(super) fn stories(seed: u64, count: NonZeroU32) -> Vec<Story> {
    (1..=count.get()).map(|number| story(seed, number)).collect()
}

fn story(seed: u64, number: u32) -> Story {
    let mut draw = Draw(seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let subject = draw.of(&SUBJECTS[..]);
    let by = draw.of(&PEOPLE[AGENTS..]);
    let blanks = Blanks::draw(&mut draw);
    let stage = STAGES[draw.weighted(&STAGES.map(|(_, weight)| weight))].0;
    let draft = Draft {
        title: blanks.fill(subject.title),
        description: blanks.fill(subject.description),
        category: subject.category,
        priority: subject.priority,
    };
    let agent = &PEOPLE[draw.weighted(&AGENT_WEIGHTS)];
    let mut telling = Telling { by, agent, blanks, status: Status::Open, steps: Vec::new() };
    telling.tell(subject, stage, &mut draw);
    Story { number, by, draft, steps: telling.steps }
}

/// A story while it is told.
struct Telling {
    by: &'static Person,
    agent: &'static Person,
    blanks: Blanks,
    status: Status,
    steps: Vec<Step>,
}

impl Telling {
    fn tell(&mut self, subject: &'static Subject, stage: Stage, draw: &mut Draw) {
        if stage == Stage::New {
            // Some ask again before anybody has begun.
            if draw.one_in(5) {
                let line: &&str = draw.of(&FOLLOW_UPS);
                self.comment((Says::Customer, line), None);
            }
            return;
        }
        self.steps.push(Step::Assign { by: draw.of(&PEOPLE[..AGENTS - 1]), to: self.agent });
        self.status = Status::InProgress;
        if draw.one_in(6) && subject.priority < Priority::High {
            self.steps.push(Step::Priority { by: self.agent, to: Priority::High });
        }
        let all = subject.talk.len();
        let lines = match stage {
            Stage::New | Stage::Assigned => draw.below(2),
            Stage::Talking => 1 + draw.below(all),
            Stage::WaitingForUser | Stage::WaitingForAgent => 1 + draw.below(all - 1),
            Stage::Resolved | Stage::Closed | Stage::Reopened => all,
        };
        self.talk(&subject.talk[..lines], draw);
        let after = match stage {
            Stage::New | Stage::Assigned | Stage::Talking => &[][..],
            Stage::WaitingForUser => &[(Status::WaitingForUser, None)],
            Stage::WaitingForAgent => &[(Status::WaitingForAgent, None)],
            Stage::Resolved => &[(Status::Resolved, Some(subject.solution))],
            Stage::Closed => &[(Status::Resolved, Some(subject.solution)), (Status::Closed, None)],
            Stage::Reopened => &[
                (Status::Resolved, Some(subject.solution)),
                (Status::Open, Some("The customer writes that it has happened again.")),
            ],
        };
        for (to, reason) in after {
            self.turn(*to, *reason);
        }
    }

    /// Says the lines; now and then the status goes with who is to answer.
    fn talk(&mut self, lines: &'static [(Says, &'static str)], draw: &mut Draw) {
        let mut last = None;
        for line in lines {
            let answers = last.filter(|_| draw.one_in(3));
            let is_reply = line.0 == Says::Customer && self.status == Status::WaitingForUser;
            self.comment(*line, answers);
            if line.0 != Says::Note {
                last = Some(self.steps.len() - 1);
            }
            if is_reply {
                self.turn(Status::InProgress, None);
            } else if line.0 == Says::Agent && line.1.ends_with('?') && draw.one_in(2) {
                self.turn(Status::WaitingForUser, None);
            }
        }
    }

    fn comment(&mut self, (says, text): (Says, &'static str), answers: Option<usize>) {
        let by = if says == Says::Customer { self.by } else { self.agent };
        let is_internal = says == Says::Note;
        // A note answers nobody: what it would answer is for everybody.
        let answers = answers.filter(|_| !is_internal);
        self.steps.push(Step::Comment { by, text: self.blanks.fill(text), is_internal, answers });
    }

    fn turn(&mut self, to: Status, reason: Option<&'static str>) {
        if self.status.next().contains(&to) {
            self.status = to;
            self.steps.push(Step::Transition { by: self.agent, to, reason });
        }
    }
}

/// What differs between tickets on the same subject.
struct Blanks {
    number: u64,
    firm: &'static str,
    plan: &'static str,
    days: u64,
}

impl Blanks {
    fn draw(draw: &mut Draw) -> Self {
        let number = 10_000 + draw.next() % 90_000;
        let firm: &&str = draw.of(&FIRMS);
        let plan: &&str = draw.of(&PLANS);
        Self { number, firm, plan, days: 2 + draw.next() % 19 }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{number}", &self.number.to_string())
            .replace("{firm}", self.firm)
            .replace("{plan}", self.plan)
            .replace("{days}", &self.days.to_string())
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): small, and the same for ever.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    fn of<T: 'static>(&mut self, things: &'static [T]) -> &'static T {
        &things[self.below(things.len())]
    }

    /// The place of one, each as likely as its weight says.
    fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.next() % weights.iter().sum::<u64>();
        for (place, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return place;
            }
            rest -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use penholder_ticket::{CommentDraft, Rules, TicketDraft};

    use super::*;

    fn told(seed: u64, count: u32) -> Vec<Story> {
        stories(seed, NonZeroU32::new(count).unwrap())
    }

    #[test]
    fn same_seed_tells_the_same_and_another_something_else() {
        assert_eq!(told(1, 50), told(1, 50));
        assert_eq!(told(1, 50), told(1, 80)[..50]);
        assert_ne!(told(1, 50), told(2, 50));
    }

    #[test]
    fn every_draft_and_comment_can_be_taken() {
        for story in told(7, 400) {
            let Draft { title, description, .. } = story.draft;
            assert!(!title.contains('{') && !description.contains('{'), "{title}");
            TicketDraft { title, description, ..TicketDraft::default() }.check().unwrap();
            for (number, step) in story.steps.iter().enumerate() {
                let Step::Comment { text, answers, .. } = step else { continue };
                assert!(!text.contains('{'), "{text}");
                let draft = CommentDraft { content: text.clone(), ..CommentDraft::default() };
                draft.check().unwrap();
                let answered = answers.map(|answered| &story.steps[answered]);
                let is_public =
                    |step: &Step| matches!(step, Step::Comment { is_internal: false, .. });
                assert!(answered.is_none_or(is_public) && answers.is_none_or(|it| it < number));
            }
        }
    }

    #[test]
    fn every_change_of_status_is_legal_and_nobody_writes_to_a_closed_ticket() {
        for story in told(7, 400) {
            let mut status = Status::Open;
            for step in story.steps {
                match step {
                    Step::Assign { .. } => status = Status::InProgress,
                    Step::Transition { to, .. } => {
                        status.check(to, Rules::default()).unwrap();
                        status = to;
                    }
                    Step::Comment { .. } => assert_ne!(status, Status::Closed),
                    Step::Priority { .. } => {}
                }
            }
        }
    }

    #[test]
    fn a_desk_shows_everything() {
        let told = told(1, 200);
        let titles: BTreeSet<_> = told.iter().map(|story| &story.draft.title).collect();
        assert!(titles.len() > 60, "{}", titles.len());
        let owners: BTreeSet<_> = told.iter().map(|story| story.by.user).collect();
        assert_eq!(owners.len(), PEOPLE.len() - AGENTS);
        let categories: BTreeSet<_> = told.iter().map(|story| story.draft.category).collect();
        assert_eq!(categories.len(), Category::ALL.len());
        let priorities: BTreeSet<_> = told.iter().map(|story| story.draft.priority).collect();
        assert_eq!(priorities.len(), Priority::ALL.len());
        let steps = || told.iter().flat_map(|story| &story.steps);
        assert!(steps().any(|step| matches!(step, Step::Comment { is_internal: true, .. })));
        assert!(steps().any(|step| matches!(step, Step::Comment { answers: Some(_), .. })));
        assert!(told.iter().any(|story| story.steps.is_empty()));
    }
}
