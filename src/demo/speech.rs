//! What is said on a call, in a few sentences.

use super::dice::Dice;

/// The words of one language: how a call opens, what it is about, and how it ends well or badly.
pub(super) struct Language {
    /// BCP 47 tag.
    pub(super) tag: &'static str,
    openings: [&'static str; 4],
    wishes: [&'static str; 8],
    answers: [&'static str; 8],
    happy_ends: [&'static str; 3],
    unhappy_ends: [&'static str; 3],
}

pub(super) static ENGLISH: Language = Language {
    tag: "en",
    openings: [
        "Agent: Hello, how can I help you today?",
        "Agent: Good morning, thanks for calling. What can I do for you?",
        "Agent: Hi, you have reached our front desk.",
        "Agent: Welcome back, what is this about?",
    ],
    wishes: [
        "Caller: I would like to move my appointment to Thursday.",
        "Caller: My parcel has not arrived yet.",
        "Caller: Could you tell me when you open tomorrow?",
        "Caller: There is an item on my bill that I do not know.",
        "Caller: I want to book for four people on Saturday.",
        "Caller: The device stopped working last night.",
        "Caller: Please send me the contract again.",
        "Caller: I need to change my address.",
    ],
    answers: [
        "Agent: I can offer ten o'clock or half past two.",
        "Agent: It left the depot this morning and arrives today.",
        "Agent: We open at eight and close at six.",
        "Agent: That is the yearly fee; I have sent you the details.",
        "Agent: Done, you will get a message in a minute.",
        "Agent: Let me check that for you.",
        "Agent: May I have your customer number, please?",
        "Agent: I have made a note for the team.",
    ],
    happy_ends: [
        "Caller: Perfect, thank you!",
        "Caller: That was quick. Goodbye.",
        "Caller: Great, that is all I needed.",
    ],
    unhappy_ends: [
        "Caller: That does not help me at all.",
        "Caller: I have called three times about this already.",
        "Caller: Then I would like to speak to a person.",
    ],
};

pub(super) static GERMAN: Language = Language {
    tag: "de",
    openings: [
        "Agent: Guten Tag, wie kann ich helfen?",
        "Agent: Hallo, schön, dass Sie anrufen.",
        "Agent: Willkommen, worum geht es?",
        "Agent: Guten Morgen, was kann ich für Sie tun?",
    ],
    wishes: [
        "Caller: Ich möchte meinen Termin verschieben.",
        "Caller: Mein Paket ist noch nicht da.",
        "Caller: Wann haben Sie morgen geöffnet?",
        "Caller: Auf der Rechnung steht ein Posten, den ich nicht kenne.",
        "Caller: Ich brauche einen Tisch für vier Personen.",
        "Caller: Das Gerät geht seit gestern nicht mehr.",
        "Caller: Bitte schicken Sie mir den Vertrag noch einmal.",
        "Caller: Meine Adresse hat sich geändert.",
    ],
    answers: [
        "Agent: Am Donnerstag um zehn wäre etwas frei.",
        "Agent: Die Sendung kommt heute bis achtzehn Uhr.",
        "Agent: Wir öffnen um acht Uhr.",
        "Agent: Das ist der Jahresbeitrag, die Aufstellung ist unterwegs.",
        "Agent: Erledigt, Sie bekommen gleich eine Nachricht.",
        "Agent: Ich sehe kurz nach.",
        "Agent: Nennen Sie mir bitte Ihre Kundennummer?",
        "Agent: Ich habe es für das Team notiert.",
    ],
    happy_ends: [
        "Caller: Wunderbar, vielen Dank!",
        "Caller: Das ging schnell. Auf Wiederhören.",
        "Caller: Prima, das war alles.",
    ],
    unhappy_ends: [
        "Caller: Das hilft mir nicht weiter.",
        "Caller: Ich rufe deswegen schon zum dritten Mal an.",
        "Caller: Dann möchte ich mit einem Menschen sprechen.",
    ],
};

pub(super) static SPANISH: Language = Language {
    tag: "es",
    openings: [
        "Agent: Hola, ¿en qué puedo ayudarle?",
        "Agent: Buenos días, gracias por llamar.",
        "Agent: Bienvenido, ¿de qué se trata?",
        "Agent: Buenas tardes, dígame.",
    ],
    wishes: [
        "Caller: Quisiera cambiar mi cita.",
        "Caller: Mi paquete todavía no ha llegado.",
        "Caller: ¿A qué hora abren mañana?",
        "Caller: Hay un cargo en la factura que no reconozco.",
        "Caller: Quiero reservar para cuatro personas.",
        "Caller: El aparato dejó de funcionar anoche.",
        "Caller: Por favor, envíeme otra vez el contrato.",
        "Caller: Necesito cambiar mi dirección.",
    ],
    answers: [
        "Agent: Tengo libre el jueves a las diez.",
        "Agent: El envío llega hoy antes de las seis.",
        "Agent: Abrimos a las ocho.",
        "Agent: Es la cuota anual; le envío el detalle.",
        "Agent: Listo, recibirá un mensaje enseguida.",
        "Agent: Permítame revisarlo.",
        "Agent: ¿Me da su número de cliente, por favor?",
        "Agent: Lo he anotado para el equipo.",
    ],
    happy_ends: [
        "Caller: Perfecto, muchas gracias.",
        "Caller: Qué rápido. Hasta luego.",
        "Caller: Muy bien, era todo.",
    ],
    unhappy_ends: [
        "Caller: Eso no me sirve.",
        "Caller: Es la tercera vez que llamo por esto.",
        "Caller: Entonces quiero hablar con una persona.",
    ],
};

impl Language {
    /// Three to five sentences, one a line, whose end suits the caller's mood (−1 to 1).
    pub(super) fn transcript(&self, dice: &mut Dice, mood: f64) -> String {
        let mut lines = vec![dice.pick(&self.openings)];
        for _ in 0..=dice.index(2) {
            let subject = dice.index(self.wishes.len());
            lines.push(self.wishes[subject]);
            // Most answers are about what was asked; the others ask back.
            lines.push(if dice.chance(0.7) {
                self.answers[subject.min(4)]
            } else {
                dice.pick(&self.answers)
            });
        }
        lines.truncate(4);
        lines.push(dice.pick(if mood < 0.0 { &self.unhappy_ends } else { &self.happy_ends }));
        lines.join("\n")
    }
}
