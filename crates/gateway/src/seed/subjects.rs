//! What the tickets of the demonstration are about, and what is said on them.

use penholder_ticket::{Category, Priority};

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Customer,
    Agent,
    /// The agent, to colleagues only.
    Note,
}

use Says::{Agent, Customer, Note};

/// Something to ask for help with. Blanks: `{number}`, `{firm}`, `{plan}`, `{days}`.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) category: Category,
    pub(super) priority: Priority,
    /// At least two lines.
    pub(super) talk: &'static [(Says, &'static str)],
    /// Why it was resolved.
    pub(super) solution: &'static str,
}

/// Who the customers work for, or deal with.
pub(super) static FIRMS: [&str; 10] = [
    "Halvorsen Bakery",
    "Northlight Clinic",
    "Ribeira Tours",
    "Okonkwo & Sons",
    "Blue Harbour School",
    "Tanuki Games",
    "Fjordvik Energy",
    "Marisol Flowers",
    "Castell Libraries",
    "Quarry Lane Dental",
];

/// What they pay for.
pub(super) static PLANS: [&str; 3] = ["Starter", "Team", "Business"];

/// Said by who has not been answered yet.
pub(super) static FOLLOW_UPS: [&str; 4] = [
    "Is there any news on this? We are still stuck.",
    "One more thing I forgot to say: it happens on my colleague's computer too.",
    "We have found a way around it for today, but would like to know what is wrong.",
    "Could somebody have a look before Friday, please?",
];

/// All subjects.
pub(super) static SUBJECTS: [Subject; 24] = [
    Subject {
        title: "Invoice {number} shows the wrong currency",
        description: "Hello,\n\nour invoice {number} is in US dollars, but {firm} has a contract in euros. Our \
                      accounting cannot book it like this. Could you correct it and send a new copy?\n\nThank you",
        category: Category::Billing,
        priority: Priority::Medium,
        talk: &[
            (
                Agent,
                "Thank you for the number. Is it only this invoice, or were the ones before wrong too?",
            ),
            (Customer, "Only this one. The one of last month was fine."),
            (
                Note,
                "The currency was taken from the old contract. Corrected in billing; the credit note goes out tonight.",
            ),
            (
                Agent,
                "I have corrected the contract. A credit note and a new invoice in euros reach you tomorrow morning.",
            ),
        ],
        solution: "New invoice in euros sent, credit note booked.",
    },
    Subject {
        title: "Charged twice for {plan}",
        description: "We see two payments for the {plan} plan on our card statement, {days} days apart. We have one \
                      account only. Please refund one of them.",
        category: Category::Billing,
        priority: Priority::High,
        talk: &[
            (
                Agent,
                "I am sorry about that. Could you tell me the last four digits of the card that was charged?",
            ),
            (Customer, "It is the one that ends in 4417, both times."),
            (
                Note,
                "Second payment is a retry after a timeout at the bank. Refund requested, reference {number}.",
            ),
            (
                Agent,
                "The second payment was a retry after the bank had answered too late. It has been refunded and arrives within three working days.",
            ),
            (Customer, "It has arrived. Thank you!"),
        ],
        solution: "Second payment refunded.",
    },
    Subject {
        title: "Cannot sign in after a password reset",
        description: "I asked for a new password, got the mail, and set one. Now the sign-in page says that name or \
                      password are wrong. I have tried three times and do not want to be locked out.",
        category: Category::Account,
        priority: Priority::High,
        talk: &[
            (
                Agent,
                "Which browser do you use, and had the link been opened before on another device?",
            ),
            (Customer, "Firefox. And yes, I opened it on my phone first."),
            (
                Agent,
                "Then the phone has used the link up. I have sent you a fresh one: please open it on one device only.",
            ),
            (Customer, "That worked, I am in."),
        ],
        solution: "Fresh link sent; signed in again.",
    },
    Subject {
        title: "Export stops at ten thousand rows",
        description: "When we export our contacts as CSV, the file ends after 10 000 rows. There are about {number} in \
                      the list. No error is shown. We need the whole list for the mailing of {firm}.",
        category: Category::BugReport,
        priority: Priority::High,
        talk: &[
            (Agent, "I can see the same here. Do you need the file before the end of the week?"),
            (Customer, "Thursday would be great. The mailing goes out on Friday."),
            (Note, "Page size limit of the old exporter. Engineering has a fix in review."),
            (Note, "Meanwhile I can run the export for them by hand."),
            (
                Agent,
                "A fix is on its way. So that you need not wait, I have put the whole file into your downloads.",
            ),
        ],
        solution: "Fixed in the release of this week; file handed over.",
    },
    Subject {
        title: "Two-factor codes are refused since yesterday",
        description: "The codes of my authenticator app are not accepted any more. The clock of my phone is right. I am \
                      the only administrator of {firm}, so nobody can let me in.",
        category: Category::Security,
        priority: Priority::Urgent,
        talk: &[
            (Note, "Identity check before anything else: call back on the number in the contract."),
            (
                Agent,
                "I have tried to call the number in your contract to make sure that it is you. When can I reach you?",
            ),
            (Customer, "I am at my desk until five."),
            (
                Agent,
                "Thank you for the call. Two-factor sign-in is reset: you are asked to set it up anew.",
            ),
            (Customer, "Done, and I have printed the recovery codes this time."),
        ],
        solution: "Identity confirmed by phone, two-factor sign-in reset.",
    },
    Subject {
        title: "Dashboard takes {days} seconds to load",
        description: "Since the update our dashboard needs about {days} seconds until the first chart appears. Before it \
                      was there at once. All of us see it, in the office and at home.",
        category: Category::Technical,
        priority: Priority::Medium,
        talk: &[
            (Agent, "Which charts are on it, and over what time?"),
            (Customer, "Revenue by region and open orders, both over the last two years."),
            (
                Note,
                "The query over two years misses the monthly summary. Asked the data team for an index.",
            ),
            (
                Agent,
                "We have found a slow query behind the chart of revenue. It is faster since an hour. Better for you?",
            ),
            (Customer, "Much better. It loads in a second now."),
        ],
        solution: "Query uses the monthly summary again.",
    },
    Subject {
        title: "Dark mode for the mobile app",
        description: "Our drivers use the app at night, and the white screen is blinding. Could there be a dark mode, or \
                      at least one that follows the phone's setting?",
        category: Category::FeatureRequest,
        priority: Priority::Low,
        talk: &[
            (
                Agent,
                "A fair point, and you are not the first to ask. Do your drivers use Android, iPhones, or both?",
            ),
            (Customer, "Android only."),
            (Note, "Added {firm} to the list of who asked, that makes 14."),
            (
                Agent,
                "It is planned for the next quarter. I have noted your wish, and you will hear from us when there is something to try.",
            ),
        ],
        solution: "Wish recorded; on the plan of the next quarter.",
    },
    Subject {
        title: "Webhook deliveries arrive twice",
        description: "Our endpoint gets some events two times, with the same id, a minute apart. We answer 200 within a \
                      second. Example: delivery {number}.",
        category: Category::Technical,
        priority: Priority::Medium,
        talk: &[
            (
                Agent,
                "Thank you for the id, that helps. Is there a proxy before your endpoint that could hold the answer back?",
            ),
            (Customer, "Yes, a gateway of our hoster. I can ask them."),
            (
                Agent,
                "We saw no answer within ten seconds for that delivery, so it was sent again. Please treat the id as a key and drop what you have seen.",
            ),
            (
                Customer,
                "The hoster had a queue there. They have removed it, and we check the id now.",
            ),
        ],
        solution: "Caused by a proxy at the customer's side.",
    },
    Subject {
        title: "Add three people to our {plan} plan",
        description: "We are growing! Please add three seats to the {plan} plan of {firm}, from the first of next month, \
                      and tell us what that costs.",
        category: Category::Billing,
        priority: Priority::Low,
        talk: &[
            (
                Agent,
                "Congratulations! Shall they be billed monthly like the others, or for the whole year?",
            ),
            (Customer, "Monthly, please."),
            (
                Agent,
                "The three seats are there from the first. The next invoice shows them in a line of their own.",
            ),
        ],
        solution: "Three seats added.",
    },
    Subject {
        title: "Suspicious mail in your name",
        description: "I got a mail that says our account at {firm} will be closed within {days} days unless I sign in by its \
                      link. The address looks odd. Is this from you? I have not clicked on it.",
        category: Category::Security,
        priority: Priority::High,
        talk: &[
            (
                Agent,
                "Well spotted: it is not from us. Could you forward it to us as an attachment?",
            ),
            (Customer, "Forwarded."),
            (
                Note,
                "Same sender as in the reports of last week. Handed to the abuse team, domain reported.",
            ),
            (
                Agent,
                "Thank you. We have had the site taken down. Please delete the mail; nothing has happened to your account.",
            ),
        ],
        solution: "Phishing site reported and taken down.",
    },
    Subject {
        title: "How do I hand my account over to a colleague?",
        description: "I leave {firm} at the end of the month, and a colleague takes over. What do I have to do so that \
                      she becomes the owner and nothing is lost?",
        category: Category::General,
        priority: Priority::Low,
        talk: &[
            (Agent, "Does your colleague have an account of her own already?"),
            (Customer, "Yes, she is a member since last year."),
            (
                Agent,
                "Then open Settings, People, choose her, and press “Make owner”. Everything stays as it is. You can leave afterwards.",
            ),
            (Customer, "That was easy. All the best to you!"),
        ],
        solution: "Ownership handed over by the customer.",
    },
    Subject {
        title: "Order {number} is marked as lost",
        description: "The tracking of order {number} says “lost” since {days} days. It is a present and should have been \
                      there long ago. What happens now?",
        category: Category::General,
        priority: Priority::High,
        talk: &[
            (
                Agent,
                "I am sorry. I have asked the carrier to search for it. Is the address in the order still right?",
            ),
            (Customer, "Yes, nothing has changed."),
            (Note, "Carrier says the parcel was damaged in the depot. Replacement approved."),
            (
                Agent,
                "The parcel was damaged on its way. A new one leaves today by express, at no cost to you.",
            ),
            (Customer, "It is here, in time. Thank you."),
        ],
        solution: "Replacement sent by express.",
    },
    Subject {
        title: "App crashes when a photo is attached",
        description: "Steps: open a report, press the camera, take a photo, press “Use”. The app closes every time. Version \
                      5.{days}, on two different phones.",
        category: Category::BugReport,
        priority: Priority::High,
        talk: &[
            (Agent, "I could make it happen too. Is there free space on both phones?"),
            (Customer, "More than ten gigabytes each."),
            (
                Note,
                "Crash report {number}: picture in HEIC, the converter runs out of memory. Fix in the beta.",
            ),
            (
                Agent,
                "We know the cause: photos in the new format are too big for our converter. Until the update, choose “Most compatible” in the camera's settings.",
            ),
        ],
        solution: "Fixed in the next version; a way around was given.",
    },
    Subject {
        title: "Please delete my account and all data",
        description: "I do not use the service any more. Please delete my account, number {number}, and everything you \
                      have stored about me, and confirm it in writing.",
        category: Category::Account,
        priority: Priority::Medium,
        talk: &[
            (Agent, "I can do that. Would you like a copy of your data first?"),
            (Customer, "No, thank you. Just delete it."),
            (Note, "Invoices have to be kept for ten years; everything else is in the queue."),
            (
                Agent,
                "Your account is deleted. By law we keep the invoices, without access for anybody but accounting.",
            ),
        ],
        solution: "Account deleted, confirmation sent.",
    },
    Subject {
        title: "Calendar shows the wrong time zone",
        description: "All appointments of {firm} are shown one hour late since the clocks changed. The setting says the \
                      right city. Patients stand before a closed door.",
        category: Category::BugReport,
        priority: Priority::Urgent,
        talk: &[
            (
                Agent,
                "We are looking into it now. Does it also happen with appointments that you make today?",
            ),
            (Customer, "No, only with those from before."),
            (
                Note,
                "Recurring ones were stored with an offset in place of a zone. Script for the repair is ready, tested on a copy.",
            ),
            (
                Agent,
                "We have repaired the appointments of your account. Could you check those of tomorrow?",
            ),
            (Customer, "They are right. Thank you for being so quick."),
        ],
        solution: "Recurring appointments repaired.",
    },
    Subject {
        title: "API answers 429 although we are below the limit",
        description: "Our nightly sync gets 429 after about {days}00 requests. The documentation says 1 000 in a minute for \
                      the {plan} plan. Request id: {number}.",
        category: Category::Technical,
        priority: Priority::Medium,
        talk: &[
            (Agent, "Do you send them from one address, and how many at the same time?"),
            (Customer, "One address, 50 at the same time."),
            (
                Agent,
                "The limit in a minute is not reached, but there is another one of 20 at a time. If you wait for what Retry-After says, all will pass.",
            ),
            (Customer, "We have lowered it to 16, and the sync runs through."),
        ],
        solution: "Explained the limit of requests at a time.",
    },
    Subject {
        title: "Wish: keyboard shortcuts for the inbox",
        description: "We answer a few hundred messages a day. Shortcuts to go to the next one, to answer and to archive \
                      would save us hours. Other tools use J and K.",
        category: Category::FeatureRequest,
        priority: Priority::Low,
        talk: &[
            (Agent, "We like the idea too. Which three would help you most?"),
            (Customer, "Next, previous, archive."),
            (Note, "Fits with the work on accessibility; told the product team."),
        ],
        solution: "Wish recorded with the product team.",
    },
    Subject {
        title: "VAT number was not accepted",
        description: "The form says that the VAT number of {firm} is invalid. It is right, and other shops take it. Without \
                      it we are charged tax that we should not pay.",
        category: Category::Billing,
        priority: Priority::Medium,
        talk: &[
            (
                Agent,
                "Could you send me the number as it stands on your registration, with the letters?",
            ),
            (Customer, "I have attached a scan to my mail of today."),
            (
                Note,
                "The register of the EU was down yesterday, the number is valid. Entered by hand.",
            ),
            (
                Agent,
                "The register that we ask was not reachable. I have entered the number for you, and the last invoice is corrected.",
            ),
        ],
        solution: "Number entered by hand, invoice corrected.",
    },
    Subject {
        title: "Search finds nothing with umlauts",
        description: "Searching for “Müller” gives no results, “Muller” gives all of them, also those that are written with \
                      an umlaut. Our colleagues do not know that they have to search like that.",
        category: Category::BugReport,
        priority: Priority::Low,
        talk: &[
            (Agent, "Does it happen in the list of contacts only, or in the documents too?"),
            (Customer, "Only in the contacts."),
            (
                Note,
                "Contacts are not normalised before the search. Small fix, good for a newcomer.",
            ),
        ],
        solution: "Fixed: both spellings are found.",
    },
    Subject {
        title: "Printer labels are cut off",
        description: "The shipping labels are cut off at the right since the last update, and the barcode cannot be read. We \
                      print on rolls of 102 × 152 mm. {days} parcels are waiting.",
        category: Category::Technical,
        priority: Priority::Urgent,
        talk: &[
            (Agent, "Please choose “Actual size” in the print dialog. Is the barcode whole then?"),
            (Customer, "Yes! But it has to be chosen each time."),
            (
                Note,
                "Template lost its page size. Restored from the version before, rollout at noon.",
            ),
            (Agent, "The size is part of the template again: please reload the page once."),
            (Customer, "All parcels are out. You saved our day."),
        ],
        solution: "Page size is part of the template again.",
    },
    Subject {
        title: "Newsletter of {firm} lands in spam",
        description: "About a third of our customers find our newsletter in their spam folder, since {days} days. Nothing \
                      has changed on our side. What can we do?",
        category: Category::Technical,
        priority: Priority::Medium,
        talk: &[
            (
                Agent,
                "I have looked at your domain: its SPF record names us no more. Was the domain moved?",
            ),
            (Customer, "Yes, to another provider, two weeks ago. I did not think of that."),
            (
                Agent,
                "Please add the line from Settings, Domains. It takes up to a day until all have seen it.",
            ),
            (Customer, "Added. The test mail arrived in the inbox."),
        ],
        solution: "SPF record restored by the customer.",
    },
    Subject {
        title: "Quote for {days}0 seats",
        description: "{firm} would like to move from {plan} to a plan for {days}0 people. Could you make us an offer, with \
                      and without phone support?",
        category: Category::General,
        priority: Priority::Medium,
        talk: &[
            (Note, "Existing customer since three years, never late. Ten per cent are fine."),
            (
                Agent,
                "With pleasure. When would you like to begin, and do you need training for your people?",
            ),
            (Customer, "At the beginning of the quarter. Training would be good, two half days."),
            (Agent, "The offer is in your inbox, in both variants."),
        ],
        solution: "Offer sent and accepted.",
    },
    Subject {
        title: "Somebody else sees my orders",
        description: "My sister uses the same computer, and when she signs in she sees my orders. That should not be, should \
                      it? Order {number} is mine.",
        category: Category::Security,
        priority: Priority::Urgent,
        talk: &[
            (
                Note,
                "Not a leak: both accounts were merged on request in spring. Checked with a second pair of eyes.",
            ),
            (
                Agent,
                "I have looked into it with a colleague. Did you ask us to merge two accounts in spring?",
            ),
            (Customer, "Oh. My sister did, she told me just now."),
            (Agent, "I have separated them again. Your orders are seen by you alone."),
        ],
        solution: "Accounts separated; no data of others was shown.",
    },
    Subject {
        title: "Change the address of {firm}",
        description: "We have moved. From next week on, please send invoices and parcels to 14 Harbour Road. The phone number \
                      stays the same. Customer number {number}.",
        category: Category::Account,
        priority: Priority::Low,
        talk: &[
            (Agent, "Is the new address also the one for the contract, or for deliveries only?"),
            (Customer, "For everything, please."),
            (Agent, "It is changed everywhere, from Monday on. Enjoy the new place!"),
        ],
        solution: "Address changed for contract, invoices and deliveries.",
    },
];
