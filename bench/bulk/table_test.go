package main

import "testing"

func TestFigures(t *testing.T) {
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median %v", m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median of four %v", m)
	}
	for x, want := range map[float64]string{0.1234: "0.123", 42: "42", 999.6: "1,000", 1234567: "1,234,567"} {
		if got := thousands(x); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
	if got := ratio(3, 2); got != "1.50 ×" {
		t.Error(got)
	}
	if s := spread([]float64{5, 1000, 3}); s != "3 to 1,000" {
		t.Error(s)
	}
}

func TestRows(t *testing.T) {
	rows := mixed.rows(201)
	calls, invited := map[string]int{}, 0
	for _, r := range rows {
		calls[r.Call]++
		if r.Invite {
			invited++
		}
		if r.Invite != (r.User != "") || r.Invite == (r.Participant != "") {
			t.Fatalf("%+v", r)
		}
	}
	if len(calls) != 3 || invited != 51 {
		t.Errorf("%d calls, %d invites", len(calls), invited)
	}
	if again := mixed.rows(201); again[200] != rows[200] {
		t.Error("other rows the second time")
	}
}
