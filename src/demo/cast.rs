//! The names of everything and everyone on the platform. All invented.

use super::dice::Dice;

const STEMS: [&str; 64] = [
    "Alder",
    "Amber",
    "Arbor",
    "Ardent",
    "Aster",
    "Beacon",
    "Birch",
    "Blue Heron",
    "Bramble",
    "Bright",
    "Brook",
    "Cedar",
    "Cinder",
    "Clover",
    "Cobalt",
    "Copper",
    "Coral",
    "Crescent",
    "Delta",
    "Driftwood",
    "Ember",
    "Fern",
    "Fjord",
    "Flint",
    "Foxglove",
    "Garnet",
    "Granite",
    "Harbor",
    "Hazel",
    "Hearth",
    "Heron",
    "Indigo",
    "Ivy",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Larch",
    "Linden",
    "Lumen",
    "Maple",
    "Marigold",
    "Meadow",
    "Meridian",
    "Mosaic",
    "North Pier",
    "Oak",
    "Orchard",
    "Osprey",
    "Pebble",
    "Quartz",
    "Quill",
    "Raven",
    "Ridge",
    "Rowan",
    "Saffron",
    "Sage",
    "Silver",
    "Slate",
    "Sparrow",
    "Summit",
    "Thistle",
    "Tidal",
    "Willow",
    "Wren",
];

const TRADES: [&str; 32] = [
    "Dental",
    "Logistics",
    "Insurance",
    "Hotels",
    "Motors",
    "Energy",
    "Clinic",
    "Travel",
    "Realty",
    "Legal",
    "Bank",
    "Pharmacy",
    "Telecom",
    "Veterinary",
    "Fitness",
    "Furniture",
    "Couriers",
    "Airlines",
    "Catering",
    "Opticians",
    "Housing",
    "Utilities",
    "Academy",
    "Plumbing",
    "Rentals",
    "Diagnostics",
    "Outfitters",
    "Electronics",
    "Tickets",
    "Gardens",
    "Storage",
    "Bakery",
];

/// Where the second, third, … company of a name is.
const PLACES: [&str; 16] = [
    "North",
    "South",
    "East",
    "West",
    "Central",
    "Coastal",
    "Valley",
    "Lakeside",
    "Hillside",
    "Riverside",
    "Uptown",
    "Downtown",
    "Midlands",
    "Highlands",
    "Islands",
    "Borders",
];

const GIVEN: [&str; 40] = [
    "Ada", "Amara", "Anneke", "Aria", "Bao", "Bruno", "Chiara", "Dara", "Elif", "Emil", "Farah", "Felix",
    "Greta", "Hana", "Hugo", "Ines", "Ivo", "Jonas", "Kaia", "Kiran", "Leila", "Lena", "Lucia", "Mateo",
    "Maya", "Milo", "Nadia", "Nora", "Oskar", "Otto", "Priya", "Quinn", "Rafa", "Sanna", "Sofia", "Tariq",
    "Theo", "Vera", "Yuki", "Zoe",
];

const ROLES: [&str; 14] = [
    "Reception",
    "Appointments",
    "Billing questions",
    "Order status",
    "Returns",
    "After hours",
    "Lead follow-up",
    "Renewals",
    "Delivery updates",
    "Technical help",
    "Surveys",
    "Payment reminders",
    "Cancellations",
    "Onboarding",
];

const SQUADS: [&str; 10] = [
    "Front desk",
    "Sales",
    "Support",
    "Night shift",
    "Collections",
    "Bookings",
    "Retention",
    "Escalations",
    "Outreach",
    "Field service",
];

const WORKFLOWS: [(&str, &str); 10] = [
    (
        "Confirm appointment",
        r#"{"trigger":"call.completed","steps":["extract_date","write_calendar","send_message"]}"#,
    ),
    ("Escalate unhappy callers", r#"{"trigger":"sentiment.low","steps":["notify_team","transfer_call"]}"#),
    ("Verify the caller", r#"{"trigger":"call.started","steps":["ask_birth_date","look_up_customer"]}"#),
    ("Log to customer file", r#"{"trigger":"call.completed","steps":["summarise","write_record"]}"#),
    ("Call back after no answer", r#"{"trigger":"call.no_answer","steps":["wait_2h","dial_again"]}"#),
    ("Take a payment", r#"{"trigger":"intent.pay","steps":["send_link","await_payment","confirm"]}"#),
    ("Opening hours", r#"{"trigger":"intent.hours","steps":["answer_from_knowledge"]}"#),
    ("Qualify a lead", r#"{"trigger":"call.completed","steps":["score_lead","assign_owner"]}"#),
    ("Satisfaction survey", r#"{"trigger":"call.completed","steps":["wait_1d","send_survey"]}"#),
    ("Voicemail to text", r#"{"trigger":"call.voicemail","steps":["transcribe","send_message"]}"#),
];

const PROVIDERS: [&str; 12] = [
    "crm",
    "calendar",
    "helpdesk",
    "payments",
    "team-chat",
    "spreadsheet",
    "webhook",
    "email",
    "text-messages",
    "data-warehouse",
    "booking-engine",
    "single-sign-on",
];

const FILES: [(&str, &str); 12] = [
    ("Price list", "csv"),
    ("Opening hours", "txt"),
    ("Returns policy", "md"),
    ("Greeting script", "txt"),
    ("Frequent questions", "md"),
    ("Holiday calendar", "csv"),
    ("Delivery areas", "csv"),
    ("Warranty terms", "txt"),
    ("Escalation rules", "md"),
    ("Product catalogue", "csv"),
    ("Tone of voice", "md"),
    ("Privacy notice", "txt"),
];

const CARRIERS: [&str; 5] = ["northline", "tonewire", "harborvoice", "clearspan", "loopcall"];

const ACTIONS: [&str; 14] = [
    "agent.updated",
    "agent.published",
    "agent.prompt_changed",
    "workflow.updated",
    "workflow.tested",
    "knowledge_file.uploaded",
    "knowledge_file.replaced",
    "integration.synced",
    "integration.reconnected",
    "member.invited",
    "member.signed_in",
    "report.exported",
    "phone_number.routed",
    "billing.viewed",
];

/// The name of tenant `index`. No two tenants of one seed share a name.
pub(super) fn company(seed: u64, index: u32) -> String {
    // An odd stride walks through all of a power of two before it repeats.
    const NAMES: u64 = (STEMS.len() * TRADES.len()) as u64;
    const STRIDE: u64 = 1_237;
    let place = u64::from(index).wrapping_mul(STRIDE).wrapping_add(seed.wrapping_mul(389)) % NAMES;
    let place = usize::try_from(place).unwrap_or_default();
    let name = format!("{} {}", STEMS[place % STEMS.len()], TRADES[place / STEMS.len()]);
    match usize::try_from(u64::from(index) / NAMES).unwrap_or_default() {
        0 => name,
        round if round <= PLACES.len() => format!("{name} {}", PLACES[round - 1]),
        round => format!("{name} {}", round + 1),
    }
}

/// The name of an agent, such as `Nora, Reception`.
pub(super) fn agent(dice: &mut Dice) -> String {
    format!("{}, {}", dice.pick(&GIVEN), dice.pick(&ROLES))
}

/// Who did something: a member of the tenant's team, or the platform.
pub(super) fn actor(dice: &mut Dice) -> String {
    if dice.chance(0.2) {
        return "system".to_owned();
    }
    format!("{}@team.example", dice.pick(&GIVEN).to_lowercase())
}

/// What was done.
pub(super) fn action(dice: &mut Dice) -> String {
    dice.pick(&ACTIONS).to_owned()
}

/// The name of squad `position`.
pub(super) fn squad(position: usize) -> String {
    numbered(SQUADS[position % SQUADS.len()], position / SQUADS.len())
}

/// The name and the definition of workflow `position`.
pub(super) fn workflow(position: usize) -> (String, &'static str) {
    let (name, definition) = WORKFLOWS[position % WORKFLOWS.len()];
    (numbered(name, position / WORKFLOWS.len()), definition)
}

/// The other system of integration `position`.
pub(super) fn provider(position: usize) -> &'static str {
    PROVIDERS[position % PROVIDERS.len()]
}

/// The name of knowledge file `position`, and the suffix that tells its form.
pub(super) fn file(position: usize) -> (String, &'static str) {
    let (name, suffix) = FILES[position % FILES.len()];
    (format!("{}.{suffix}", numbered(name, position / FILES.len())), suffix)
}

/// The name and the host of trunk `position`.
pub(super) fn trunk(dice: &mut Dice, position: usize) -> (String, String) {
    let carrier = dice.pick(&CARRIERS);
    let name = if position == 0 { "Main line".to_owned() } else { format!("Line {}", position + 1) };
    (name, format!("sip{}.{carrier}.example", position + 1))
}

fn numbered(name: &str, round: usize) -> String {
    if round == 0 { name.to_owned() } else { format!("{name} {}", round + 1) }
}
