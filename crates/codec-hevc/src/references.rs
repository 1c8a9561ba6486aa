//! Reference pictures: the reference picture set (8.3.2) and the lists of a slice (8.3.4).

use std::sync::Arc;

use reelcore_media::MediaError;
use rusty_h265::Picture;
use rusty_h265::decoder::{RefLists, RefPic};
use rusty_h265::slice::SliceHeader;

/// The largest decoded picture buffer (A.4.2); the picture in work is one of it.
const MAX_REFERENCES: usize = 15;

/// A picture that later ones may refer to.
struct Reference {
    picture: Arc<Picture>,
    poc: i32,
    long_term: bool,
}

/// The pictures that a picture refers to, in the three groups of its reference picture set.
#[derive(Default)]
pub(crate) struct CurrentReferences {
    /// RefPicSetStCurrBefore.
    before: Vec<RefPic>,
    /// RefPicSetStCurrAfter.
    after: Vec<RefPic>,
    /// RefPicSetLtCurr.
    long_term: Vec<RefPic>,
}

/// As what a picture is kept for reference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Term {
    Short,
    Long,
}

/// A reference picture set that was derived, and not applied yet.
pub(crate) struct ReferenceSet {
    current: CurrentReferences,
    /// What becomes of each picture.
    keep: Vec<Option<Term>>,
    /// Every picture that the set names is there, also those that only later pictures refer to.
    pub(crate) is_complete: bool,
}

/// The pictures that are marked as used for reference.
#[derive(Default)]
pub(crate) struct References {
    pictures: Vec<Reference>,
}

impl References {
    /// Marks every picture as unused for reference, and hands out its memory.
    pub(crate) fn clear(&mut self, release: &mut dyn FnMut(Arc<Picture>)) {
        for reference in self.pictures.drain(..) {
            release(reference.picture);
        }
    }

    /// Adds a decoded picture as a short-term reference.
    pub(crate) fn add(&mut self, picture: Arc<Picture>, poc: i32) {
        self.pictures.push(Reference {
            picture,
            poc,
            long_term: false,
        });
    }

    /// Derives the reference picture set of the picture with the count `poc` and the first slice `header`. `max_poc_lsb` is
    /// MaxPicOrderCntLsb.
    ///
    /// # Errors
    /// `InvalidData` when a picture that is to be referred to is missing.
    pub(crate) fn set_of(
        &self,
        header: &SliceHeader,
        poc: i32,
        max_poc_lsb: i32,
    ) -> Result<ReferenceSet, MediaError> {
        let mut set = ReferenceSet {
            current: CurrentReferences::default(),
            keep: vec![None; self.pictures.len()],
            is_complete: true,
        };
        // Equations 8-5 and 8-6, the long-term pictures first: they may be short-term ones until now.
        for entry in &header.long_term {
            let lsb = i64::from(entry.poc_lsb);
            let (count, mask) = if entry.delta_poc_msb_present {
                let back = i64::from(entry.delta_poc_msb_cycle) * i64::from(max_poc_lsb);
                let high = i64::from(poc) - i64::from(poc & (max_poc_lsb - 1));
                (lsb + high - back, -1)
            } else {
                (lsb, i64::from(max_poc_lsb) - 1)
            };
            let found = self
                .pictures
                .iter()
                .position(|r| i64::from(r.poc) & mask == count);
            match found {
                Some(index) => set.keep[index] = Some(Term::Long),
                None => set.is_complete = false,
            }
            if entry.used_by_curr_pic {
                let index = found.ok_or_else(|| missing("long-term", count, poc))?;
                let picture = self.pictures[index].as_ref_pic(true);
                set.current.long_term.push(picture);
            }
        }
        let before = header.st_rps.neg.iter().map(|entry| (entry, true));
        let after = header.st_rps.pos.iter().map(|entry| (entry, false));
        for (&(delta, used), is_before) in before.chain(after) {
            let count = i64::from(poc) + i64::from(delta);
            let found = self.pictures.iter().enumerate().position(|(index, r)| {
                let long = r.long_term || set.keep[index] == Some(Term::Long);
                !long && i64::from(r.poc) == count
            });
            match found {
                Some(index) => set.keep[index] = Some(Term::Short),
                None => set.is_complete = false,
            }
            if used {
                let index = found.ok_or_else(|| missing("short-term", count, poc))?;
                let picture = self.pictures[index].as_ref_pic(false);
                if is_before {
                    set.current.before.push(picture);
                } else {
                    set.current.after.push(picture);
                }
            }
        }
        Ok(set)
    }

    /// Applies a set, which is of the pictures as they are.
    ///
    /// # Errors
    /// `InvalidData` for more pictures than the standard permits.
    pub(crate) fn apply_set(
        &mut self,
        set: ReferenceSet,
        release: &mut dyn FnMut(Arc<Picture>),
    ) -> Result<CurrentReferences, MediaError> {
        // All that the set does not name is no longer used for reference.
        let mut kept = Vec::with_capacity(self.pictures.len());
        for (mut reference, keep) in self.pictures.drain(..).zip(set.keep) {
            match keep {
                Some(term) => {
                    reference.long_term = term == Term::Long;
                    kept.push(reference);
                }
                None => release(reference.picture),
            }
        }
        self.pictures = kept;
        if self.pictures.len() > MAX_REFERENCES {
            return Err(MediaError::invalid_data(format!(
                "{} reference pictures, expected at most {MAX_REFERENCES}",
                self.pictures.len()
            )));
        }
        Ok(set.current)
    }
}

impl Reference {
    fn as_ref_pic(&self, is_long_term: bool) -> RefPic {
        RefPic {
            pic: self.picture.clone(),
            poc: self.poc,
            is_long_term,
        }
    }
}

fn missing(kind: &str, wanted: i64, poc: i32) -> MediaError {
    MediaError::invalid_data(format!(
        "reference pictures are missing: picture {poc} (order count) refers to {kind} picture {wanted}"
    ))
}

impl CurrentReferences {
    /// The reference picture lists of the slice with `header` (8.3.4).
    ///
    /// # Errors
    /// `InvalidData` for a list without a picture, or an entry past the set.
    pub(crate) fn lists(&self, header: &SliceHeader) -> Result<RefLists, MediaError> {
        if header.slice_type.is_intra() {
            return Ok(RefLists::default());
        }
        // Equation 8-8.
        let l0 = list(
            [&self.before, &self.after, &self.long_term],
            usize::from(header.num_ref_idx_l0_active),
            header.ref_pic_list_modification_l0.as_deref(),
        )?;
        // Equation 8-10.
        let l1 = if header.slice_type.is_b() {
            list(
                [&self.after, &self.before, &self.long_term],
                usize::from(header.num_ref_idx_l1_active),
                header.ref_pic_list_modification_l1.as_deref(),
            )?
        } else {
            Vec::new()
        };
        Ok(RefLists { l0, l1 })
    }
}

/// One list: the pictures of `groups` in turn, again and again, or those that list_entry_lX names.
fn list(
    groups: [&[RefPic]; 3],
    active: usize,
    entries: Option<&[u32]>,
) -> Result<Vec<RefPic>, MediaError> {
    let pictures: Vec<&RefPic> = groups.into_iter().flatten().collect();
    if pictures.is_empty() {
        return Err(MediaError::invalid_data(
            "a P or B slice of a picture without reference pictures",
        ));
    }
    (0..active)
        .map(|index| {
            let at = match entries {
                // list_entry_lX is below NumPicTotalCurr (7.4.7.2).
                Some(entries) => entries.get(index).map(|&entry| entry as usize),
                None => Some(index % pictures.len()),
            };
            at.and_then(|at| pictures.get(at))
                .map(|&picture| picture.clone())
                .ok_or_else(|| {
                    MediaError::invalid_data(format!(
                        "entry {index} of a reference picture list is not among its {} pictures",
                        pictures.len()
                    ))
                })
        })
        .collect()
}
