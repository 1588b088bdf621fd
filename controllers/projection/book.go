package projection

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// pinTime is how long the entry of a pod that is not served yet is sure of its
// place in recentAccesses. After it, newer uses may take the place where no other
// is free, and only this process remembers the pod.
const pinTime = time.Minute

// book is what stands in one UserSecret's status, and what is known of the pods
// that were counted there or want to be. It asks nobody, and is not safe for
// concurrent use.
type book struct {
	version string // the resourceVersion that was read or written last
	usage   v1alpha1.Usage
	recent  []v1alpha1.Access // newest first
	marks   map[types.UID]*mark
}

// mark is what is known of a pod.
type mark struct {
	// counted says that the pod's use stands in the record, or stood there.
	counted bool
	// asked says that the pod asked this process, and so may ask again.
	asked bool
	// told says that somebody was told that the pod was counted.
	told bool
	// pinned is since when the pod's entry is kept, where there is one, because
	// its Secret may not exist yet: without the entry, a crash now would count the
	// pod twice. Zero once the Secret is known to exist.
	pinned time.Time
}

// holds says whether the mark keeps its entry from being pushed out.
func (m *mark) holds(now time.Time) bool {
	return !m.pinned.IsZero() && now.Sub(m.pinned) < pinTime
}

// adopt takes over what stands in the status. Marks of pods that only an earlier
// list had are dropped; those of pods that an earlier leader may have left
// without their Secret are pinned.
func (b *book) adopt(us *v1alpha1.UserSecret, unsettled func(pod types.UID) bool, now time.Time) {
	b.version, b.usage, b.recent = us.ResourceVersion, v1alpha1.Usage{}, us.Status.RecentAccesses
	if us.Status.Usage != nil {
		b.usage = *us.Status.Usage
	}
	maps.DeleteFunc(b.marks, func(_ types.UID, m *mark) bool { return !m.asked && m.pinned.IsZero() })
	for _, access := range b.recent {
		if access.Type == v1alpha1.AccessUse {
			b.find(types.UID(access.PodUID), unsettled, now)
		}
	}
}

// find notes that a pod stands in the list. One that asked and was not known to
// be counted did not get the answer to its write: its Secret does not exist.
func (b *book) find(pod types.UID, unsettled func(pod types.UID) bool, now time.Time) {
	m := b.marks[pod]
	switch {
	case m == nil:
		m = &mark{}
		b.marks[pod] = m
		if unsettled(pod) {
			m.pinned = now
		}
	case !m.counted:
		m.pinned = now
	}
	m.counted = true
}

// ask says whether a pod was counted. A pod that asks is not served yet, so its
// entry is kept from now on, also where it turns up later.
func (b *book) ask(pod types.UID, now time.Time) bool {
	m := b.marks[pod]
	if m == nil {
		m = &mark{}
		b.marks[pod] = m
	}
	m.asked = true
	if m.pinned.IsZero() {
		m.pinned = now
	}
	return m.counted
}

// free is the number of places in recentAccesses that no pin holds.
func (b *book) free(now time.Time) int {
	free := v1alpha1.MaxRecentAccesses
	for i := range b.recent {
		if m := b.markOf(i); m != nil && m.holds(now) {
			free--
		}
	}
	return free
}

// untilFree is the time until the first pin ends by itself.
func (b *book) untilFree(now time.Time) time.Duration {
	until := pinTime
	for i := range b.recent {
		if m := b.markOf(i); m != nil && m.holds(now) {
			until = min(until, m.pinned.Add(pinTime).Sub(now))
		}
	}
	return until
}

// markOf is the mark of the pod of an entry of recentAccesses, or nil.
func (b *book) markOf(i int) *mark { return b.marks[types.UID(b.recent[i].PodUID)] }

// with is the status with further uses recorded, which are at most as many as
// places are free, oldest first.
func (b *book) with(uses []v1alpha1.Access, now time.Time) (v1alpha1.Usage, []v1alpha1.Access) {
	newest := uses[len(uses)-1]
	usage := v1alpha1.Usage{
		Count:      b.usage.Count + int64(len(uses)),
		LastUsedAt: &metav1.Time{Time: newest.Time.Truncate(time.Second)},
		LastUsedBy: &v1alpha1.LastUse{Workflow: newest.Workflow, Node: newest.Node, Pod: newest.Pod},
	}
	recent := slices.Clone(uses)
	slices.Reverse(recent)
	return usage, append(recent, b.keep(v1alpha1.MaxRecentAccesses-len(uses), now)...)
}

// keep is recentAccesses shortened to n entries. The oldest go first, but those
// whose pin ended only where nothing else can, and those that a pin holds never.
func (b *book) keep(n int, now time.Time) []v1alpha1.Access {
	kept := slices.Clone(b.recent)
	held := func(m *mark) bool { return m.holds(now) }
	unserved := func(m *mark) bool { return !m.pinned.IsZero() }
	for _, spared := range []func(*mark) bool{unserved, held} {
		for i := len(kept) - 1; i >= 0 && len(kept) > n; i-- {
			if m := b.marks[types.UID(kept[i].PodUID)]; m == nil || !spared(m) {
				kept = slices.Delete(kept, i, i+1)
			}
		}
	}
	return kept
}

// enter notes that uses were recorded and that the status stands so.
func (b *book) enter(uses []v1alpha1.Access, version string, usage v1alpha1.Usage, recent []v1alpha1.Access, now time.Time) {
	b.version, b.usage, b.recent = version, usage, recent
	for _, use := range uses {
		// A pod that was forgotten meanwhile is gone, and needs no place.
		if m := b.marks[types.UID(use.PodUID)]; m != nil {
			m.counted, m.pinned = true, now
		}
	}
}

// tell says whether nobody was told yet that the pod was counted.
func (b *book) tell(pod types.UID) bool {
	m := b.marks[pod]
	if m == nil || !m.counted || m.told {
		return false
	}
	m.told = true
	return true
}

// serve notes that the pod's Secret is known to exist.
func (b *book) serve(pod types.UID) {
	if m := b.marks[pod]; m != nil {
		m.pinned = time.Time{}
	}
}

// idle says that nothing would be lost with the book.
func (b *book) idle(now time.Time) bool {
	for _, m := range b.marks {
		if m.asked || m.holds(now) {
			return false
		}
	}
	return true
}
