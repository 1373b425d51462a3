//! Work that is cut into pieces for all cores.

use std::ops::Range;

/// Does `work` on the pieces of `0..count`, on all cores, and joins what they make in its order.
///
/// With fewer than `few` for each core the caller's thread does it alone, because a thread costs
/// more than it saves.
///
/// # Errors
/// The first that `work` returns.
pub fn on_all_cores<T: Send, E: Send>(
    count: u64,
    few: u64,
    work: impl Fn(Range<u64>) -> Result<Vec<T>, E> + Sync,
) -> Result<Vec<T>, E> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let share = count.div_ceil(cores).max(1);
    if cores == 1 || share < few {
        return work(0..count);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..count.div_ceil(share))
            .map(|part| part * share..count.min((part + 1) * share))
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        let mut all = Vec::new();
        for part in parts {
            match part.join() {
                Ok(done) => all.extend(done?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use super::on_all_cores;

    #[test]
    fn joins_the_pieces_in_their_order() {
        for count in [0, 1, 2, 3, 7, 1000] {
            for few in [1, 5, 10_000] {
                let done = on_all_cores(count, few, |part| Ok::<_, ()>(part.collect()));
                assert_eq!(done, Ok((0..count).collect()), "{count}, {few}");
            }
        }
    }

    #[test]
    fn returns_an_error_of_any_piece() {
        let done = on_all_cores(1000, 1, |part| match part.contains(&999) {
            true => Err("the last"),
            false => Ok(vec![()]),
        });
        assert_eq!(done, Err("the last"));
    }
}
