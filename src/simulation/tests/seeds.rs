//! Seeds that once revealed a fault.

use super::play;

#[test]
fn once_a_destination_that_refuses_everything_was_taken_for_one_that_finds_fault_with_records() {
    for seed in [401, 433, 555] {
        play(seed);
    }
}

#[test]
fn once_a_record_that_was_tried_before_its_turn_was_not_counted_as_read() {
    for seed in [857, 1_129] {
        play(seed);
    }
}

#[test]
fn once_what_was_read_in_the_place_of_a_made_up_id_was_taken_for_no_progress() {
    play(46_072);
}

#[test]
fn a_reader_gets_what_it_asked_for_although_somebody_else_got_it_meanwhile() {
    play(59_700);
}

#[test]
fn a_prefix_that_is_not_in_use_is_read_whenever_the_newest_records_are_compared() {
    play(178_351);
}

#[test]
fn once_nothing_was_read_of_a_prefix_whose_cursor_had_expired() {
    for seed in [250_688, 266_603, 275_512] {
        play(seed);
    }
}

#[test]
fn once_a_few_refused_records_were_not_seen_to_be_all_there_is() {
    play(974_659);
}

#[test]
fn once_what_others_took_while_one_batch_hung_was_not_kept() {
    for seed in [1_839, 115_544] {
        play(seed);
    }
}

#[test]
fn once_that_another_batch_was_taken_was_held_against_the_records_of_one_that_was_refused() {
    play(1_397);
}

#[test]
fn once_no_gap_was_reported_where_reading_began_by_time() {
    for seed in [42, 74] {
        play(seed);
    }
}

#[test]
fn once_a_gap_was_reported_to_begin_with_the_newest_record_delivered() {
    for seed in [91, 225, 413] {
        play(seed);
    }
}

#[test]
fn once_a_gap_was_reported_to_begin_where_one_prefix_was_read_to() {
    for seed in [843, 846] {
        play(seed);
    }
}

#[test]
fn once_a_cursor_that_was_not_taken_led_to_another_prefix_and_the_end_was_told() {
    for seed in [1_065, 1_127] {
        play(seed);
    }
}

#[test]
fn once_a_reading_that_began_anew_was_taken_back_to_the_first_start() {
    play(7_153);
}

#[test]
fn once_a_prefix_was_read_twice_in_a_run_that_began_by_time_and_delivered_twice() {
    for seed in [2_126, 3_559, 5_490] {
        play(seed);
    }
}

#[test]
fn once_a_prefix_that_was_not_read_to_its_end_was_taken_for_one_out_of_use() {
    for seed in [2_695, 5_330, 5_880] {
        play(seed);
    }
}

#[test]
fn once_a_cursor_passed_what_was_not_read_where_reading_began_by_time_for_another_prefix() {
    play(19_352);
}

#[test]
fn once_no_gap_was_reported_of_a_prefix_that_was_read_less_far_than_the_first() {
    for seed in [3_021, 4_126, 8_587, 13_328] {
        play(seed);
    }
}

#[test]
fn once_no_gap_was_reported_after_an_outage_before_there_was_a_cursor() {
    for seed in [1_381, 6_611, 8_364] {
        play(seed);
    }
}

#[test]
fn of_a_prefix_that_was_never_met_the_oldest_record_is_the_first_that_is_seen() {
    for seed in [5_375, 19_694] {
        play(seed);
    }
}

#[test]
fn once_a_few_refused_records_of_several_batches_were_waited_for_without_end() {
    for seed in [2_354, 2_392, 10_501] {
        play(seed);
    }
}

#[test]
fn once_a_record_that_this_run_had_delivered_was_tried_for_the_sake_of_another_prefix() {
    play(18_989);
}

#[test]
fn once_a_page_that_was_read_instead_of_a_jump_was_taken_for_no_progress() {
    play(11_824);
}

#[test]
fn once_a_prefix_was_forgotten_of_which_a_record_of_long_before_was_delivered() {
    play(9_963);
}

#[test]
fn a_first_window_of_one_record_with_an_id_of_long_before_is_read() {
    play(1_831);
}

#[test]
fn once_the_end_was_told_although_the_cursor_was_above_all_that_came() {
    for seed in [30_547, 33_333, 37_798, 45_026] {
        play(seed);
    }
}

#[test]
fn once_a_gap_was_reported_to_begin_at_an_end_where_nothing_was_compared() {
    for seed in [20_234, 21_126, 32_686] {
        play(seed);
    }
}

#[test]
fn once_no_gap_was_reported_where_the_end_was_not_read_for_a_day_after_the_first_run() {
    play(25_179);
}

#[test]
fn once_no_gap_was_reported_of_what_became_visible_late_and_was_dropped_first() {
    play(955_170);
}

#[test]
fn once_no_gap_was_reported_of_what_was_read_and_dropped_before_the_first_delivery() {
    play(262_265);
}

#[test]
fn once_a_record_was_not_found_that_a_hundred_newer_ones_hid() {
    for seed in [316_030, 555_750, 926_434] {
        play(seed);
    }
}
