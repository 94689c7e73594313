//! What simulated customers write: own templates with slots, English.

use super::random::Random;

/// What a text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Happy with an order.
    Praise,
    /// Thankful after help.
    Thanks,
    /// An order is late.
    Late,
    /// The app or the checkout fails.
    Broken,
    /// A bad visit to a store.
    Queue,
    /// Let down by an order.
    Failed,
    /// A plain question.
    Question,
}

const PRAISE: [&str; 7] = [
    "Love my new {product}, great quality and it came on time.",
    "Perfect again, thank you! The {product} is exactly what I wanted.",
    "Very happy with the {product}. Easy to order, fast delivery.",
    "Great shop, friendly people, good prices. The {product} is wonderful.",
    "The {product} works beautifully, I am really pleased.",
    "Excellent {product}, I will happily order here again.",
    "Nice packaging, lovely {product}, great service.",
];
const THANKS: [&str; 6] = [
    "Thank you so much, that was quick and very kind!",
    "Great, it works now. Thanks for the excellent help!",
    "I was angry, but you solved it well. Thank you, I appreciate it.",
    "Wonderful support, the new {product} arrived and it is perfect.",
    "Thanks, the voucher is a nice gesture. I am happy again.",
    "Problem solved, very friendly. Great service!",
];
const LATE: [&str; 7] = [
    "My {product} is still not here, this is really annoying.",
    "It was promised {days} days ago. Terrible delivery, I am very disappointed.",
    "Where is my {product}? Nobody tells me anything, awful service.",
    "The parcel came {days} days late and the birthday is over. I am so angry.",
    "Third day waiting at home for nothing. This is unacceptable.",
    "Bad experience: the {product} came far too late and nobody apologised.",
    "I needed the {product} last week, now it is useless to me. Horrible.",
];
const BROKEN: [&str; 7] = [
    "The app crashes every time I want to pay. Terrible.",
    "Your checkout is broken, I tried it {days} times. So frustrating!",
    "The last update is awful, nothing works any more.",
    "I hate this app now, it froze and my cart was gone.",
    "Payment failed again and again, very bad and annoying.",
    "Error after error when I try to buy the {product}. Useless.",
    "Worst app ever since the update. It keeps crashing.",
];
const QUEUE: [&str; 6] = [
    "Waited forever at the till, the staff was rude. Horrible visit.",
    "Only one till open and a terrible queue. Never again.",
    "Nobody had time to help me, very disappointing store.",
    "The {product} I came for was not there and the queue was awful.",
    "Bad, crowded, slow. I left angry.",
    "A long queue, unfriendly people and the wrong price. Terrible.",
];
const FAILED: [&str; 7] = [
    "You simply cancelled my order! I am furious.",
    "The {product} arrived broken, what a horrible disappointment.",
    "First you take my money, then you cancel. Terrible, terrible service.",
    "Damaged again. I am really upset and I want my money back.",
    "Such poor quality, the {product} failed after {days} days. Awful.",
    "I am very angry. Nobody answers and the {product} is defective.",
    "This is the worst service I have had in years.",
];
const QUESTION: [&str; 5] = [
    "When will the {product} be in stock?",
    "Can I change the address of my order?",
    "Does the {product} come in blue?",
    "How do I send the {product} to another country?",
    "Which of the two sizes of the {product} is the larger one?",
];

/// Products of the simulated shop.
pub(super) const PRODUCTS: [&str; 8] =
    ["kettle", "backpack", "headphones", "desk-lamp", "raincoat", "running-shoes", "coffee-grinder", "tent"];

/// A text of this mood.
pub(super) fn write(mood: Mood, product: &str, random: &mut Random) -> String {
    let template = match mood {
        Mood::Praise => random.pick(&PRAISE),
        Mood::Thanks => random.pick(&THANKS),
        Mood::Late => random.pick(&LATE),
        Mood::Broken => random.pick(&BROKEN),
        Mood::Queue => random.pick(&QUEUE),
        Mood::Failed => random.pick(&FAILED),
        Mood::Question => random.pick(&QUESTION),
    };
    let days = random.between(2, 5).to_string();
    template.replace("{product}", &product.replace('-', " ")).replace("{days}", &days)
}
