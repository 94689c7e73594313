//! How well scores and alerts foretold what happened: area under the ROC curve, calibration, precision, recall, lead time; and
//! an alert's story in plain words.
//!
//! Nothing here decides anything, so there are floats. Pure: the caller brings labels, values and alerts.

mod alerts;
mod auc;
mod calibration;
mod episodes;
mod logistic;
mod quantiles;
mod scorecard;
mod story;
mod training;

pub use alerts::{ACTIVE_DAYS, Activity, Hits, Items, Opened, days};
pub use auc::{Auc, Case, auc};
pub use calibration::{Bin, bins};
pub use episodes::{About, Episode, Episodes, Match, matches};
pub use quantiles::{Quartiles, Share, quartiles};
pub use scorecard::{Learned, Scorecard};
pub use story::{clock, likely, span, story};
pub use training::{
    Alerted, Columns, Course, Row, Trained, alerted, bands, calibration_error, cases, chances, choose, fold_of,
    recalibrated, single_areas, train,
};
