package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// latencies are times of single events, in no order.
type latencies []time.Duration

// at is the p-th percentile, by the nearest rank: one of the times themselves.
// It is zero where nothing was measured.
func (l latencies) at(p float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// cells are p50, p95 and p99 as text.
func (l latencies) cells() []string {
	return []string{milliseconds(l.at(50)), milliseconds(l.at(95)), milliseconds(l.at(99))}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// median is the middle one of some numbers, the lower of two; zero of none.
func median(numbers []float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(numbers))[(len(numbers)-1)/2]
}

// ratio is a part of a whole as text.
func ratio(part, whole float64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f ×", part/whole)
}
