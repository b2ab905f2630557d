package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// median is the middle one, or the mean of the two.
func median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	n := len(s)
	if n == 0 {
		return math.NaN()
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// spread is from the least to the most, as a text.
func spread(all []float64) string {
	return thousands(slices.Min(all)) + " to " + thousands(slices.Max(all))
}

// thousands writes a number with few digits, in groups.
func thousands(x float64) string {
	if math.Abs(x) < 100 {
		return fmt.Sprintf("%.3g", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, groups...), ",")
}

// table prints one in Markdown.
func table(title string, head []string, rows [][]string) {
	fmt.Printf("\n**%s**\n\n", title)
	fmt.Println("| " + strings.Join(head, " | ") + " |")
	fmt.Println("|" + strings.Repeat(" --- |", len(head)))
	for _, r := range rows {
		fmt.Println("| " + strings.Join(r, " | ") + " |")
	}
}

// ratio is how many times as much a is as b.
func ratio(a, b float64) string { return fmt.Sprintf("%.2f ×", a/b) }
