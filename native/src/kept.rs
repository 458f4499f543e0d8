//! Rows put aside until there are enough of them to be counted by column.
//!
//! They are kept in the order that they came in: a row is then written to the end of one array,
//! however many models take turns, and the array is used again. Which rows are of one group is
//! sorted out when they are taken.

use std::collections::HashMap;

use crate::event::Row;

/// Values that there stays room for; more were of an unusually wide batch.
const ROOM: usize = 4 << 20;

/// What a row takes beside its values, bytes: its places in `group_of` and `order`.
const ROW_BYTES: usize = 4 + 8;

/// What a group takes beside its rows and its name, bytes.
const GROUP_BYTES: usize = 128;

/// Rows of one layout and variant.
pub struct Group {
    pub layout: usize,
    pub variant: String,
    pub rows: usize,
    /// Values of a row.
    width: usize,
    /// Where its rows begin in `Kept::order`.
    begin: usize,
}

/// Rows by group: a row is its time, floats, bin numbers and segments, and where labels are awaited
/// the hash of its id, the number of its class and its own; each as 64 bits.
pub struct Kept {
    pub groups: Vec<Group>,
    /// By layout: the groups by variant, and the one that was met last.
    found: Vec<(HashMap<String, usize>, usize)>,
    names: usize,
    /// By row.
    group_of: Vec<u32>,
    values: Vec<u64>,
    /// Where each row begins in `values`, group by group.
    order: Vec<usize>,
}

impl Kept {
    pub fn new(layouts: usize) -> Self {
        Kept {
            groups: Vec::new(),
            found: vec![(HashMap::new(), usize::MAX); layouts],
            names: 0,
            group_of: Vec::new(),
            values: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Memory in use, bytes.
    pub fn bytes(&self) -> usize {
        8 * self.values.len()
            + ROW_BYTES * self.group_of.len()
            + GROUP_BYTES * self.groups.len()
            + self.names
    }

    pub fn push(&mut self, layout: usize, variant: &str, time: f64, row: &Row, number: u64) {
        let before = self.values.len();
        self.values.push(time.to_bits());
        self.values
            .extend(row.numeric.iter().map(|it| it.to_bits()));
        self.values.extend(row.codes.iter().map(|it| *it as u64));
        self.values.extend(row.segments.iter().map(|it| *it as u64));
        if let Some((id, class)) = row.outcome {
            self.values.extend([id, class as u64, number]);
        }
        let group = self.group(layout, variant, self.values.len() - before);
        self.groups[group].rows += 1;
        self.group_of.push(group as u32);
    }

    fn group(&mut self, layout: usize, variant: &str, width: usize) -> usize {
        let (by_variant, last) = &mut self.found[layout];
        if self
            .groups
            .get(*last)
            .is_some_and(|it| it.variant == variant)
        {
            return *last;
        }
        *last = by_variant.get(variant).copied().unwrap_or_else(|| {
            by_variant.insert(variant.to_owned(), self.groups.len());
            self.names += 2 * variant.len();
            self.groups.push(Group {
                layout,
                variant: variant.to_owned(),
                rows: 0,
                width,
                begin: 0,
            });
            self.groups.len() - 1
        });
        *last
    }

    /// Sort out which rows are of which group; before any of [`Kept::columns`].
    pub fn arrange(&mut self) {
        let mut next = Vec::with_capacity(self.groups.len());
        let mut end = 0;
        for group in &mut self.groups {
            group.begin = end;
            next.push(end);
            end += group.rows;
        }
        self.order.clear();
        self.order.resize(self.group_of.len(), 0);
        let mut at = 0;
        for group in &self.group_of {
            let group = *group as usize;
            self.order[next[group]] = at;
            next[group] += 1;
            at += self.groups[group].width;
        }
    }

    /// How many bytes rows `first` to before `end` of a group are, as many as there are; nothing if
    /// there are none.
    pub fn size(&self, group: usize, first: usize, end: usize) -> Option<usize> {
        let group = self.groups.get(group)?;
        let end = end.min(group.rows);
        (first < end).then(|| 8 * group.width * (end - first))
    }

    /// Write these rows by column, one whole column after another; `out` is of their size.
    pub fn columns(&self, group: usize, first: usize, end: usize, out: &mut [u8]) {
        let group = &self.groups[group];
        let rows = &self.order[group.begin..][..group.rows][first..end.min(group.rows)];
        for (column, place) in out.chunks_exact_mut(8 * rows.len()).enumerate() {
            for (at, cell) in rows.iter().zip(place.chunks_exact_mut(8)) {
                cell.copy_from_slice(&self.values[at + column].to_ne_bytes());
            }
        }
    }

    /// Forget all rows.
    pub fn clear(&mut self) {
        self.groups.clear();
        for (by_variant, last) in &mut self.found {
            by_variant.clear();
            *last = usize::MAX;
        }
        self.names = 0;
        self.group_of.clear();
        self.values.clear();
        self.values.shrink_to(ROOM);
        self.order.clear();
    }
}
