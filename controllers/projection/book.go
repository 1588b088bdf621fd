package projection

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

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
	// pinned says that the pod's entry, where there is one, is not pushed out
	// because its Secret may not exist yet: without the entry, a crash would count
	// the pod twice. However long that takes, so at most as many pods as the list
	// has places are recorded and not served.
	pinned bool
}

// adopt takes over what stands in the status. Marks of pods that only an earlier
// list had are dropped; those of pods that an earlier leader may have left
// without their Secret are pinned.
func (b *book) adopt(us *v1alpha1.UserSecret, unsettled func(pod types.UID) bool) {
	b.version, b.usage, b.recent = us.ResourceVersion, v1alpha1.Usage{}, us.Status.RecentAccesses
	if us.Status.Usage != nil {
		b.usage = *us.Status.Usage
	}
	maps.DeleteFunc(b.marks, func(_ types.UID, m *mark) bool { return !m.asked && !m.pinned })
	for _, access := range b.recent {
		if access.Type == v1alpha1.AccessUse {
			b.find(types.UID(access.PodUID), unsettled)
		}
	}
}

// find notes that a pod stands in the list. One that asked and was not known to
// be counted did not get the answer to its write: its Secret does not exist.
func (b *book) find(pod types.UID, unsettled func(pod types.UID) bool) {
	m := b.marks[pod]
	switch {
	case m == nil:
		m = &mark{pinned: unsettled(pod)}
		b.marks[pod] = m
	case !m.counted:
		m.pinned = true
	}
	m.counted = true
}

// ask says whether a pod was counted. A pod that asks is not served yet, so its
// entry is kept from now on, also where it turns up later.
func (b *book) ask(pod types.UID) bool {
	m := b.marks[pod]
	if m == nil {
		m = &mark{}
		b.marks[pod] = m
	}
	m.asked, m.pinned = true, true
	return m.counted
}

// free is the number of places in recentAccesses that no pin holds.
func (b *book) free() int {
	free := v1alpha1.MaxRecentAccesses
	for i := range b.recent {
		if b.holds(b.recent[i]) {
			free--
		}
	}
	return free
}

// holds says whether a pin keeps an entry from being pushed out.
func (b *book) holds(access v1alpha1.Access) bool {
	m := b.marks[types.UID(access.PodUID)]
	return m != nil && m.pinned
}

// with is the status with further uses recorded, which are at most as many as
// places are free, oldest first.
func (b *book) with(uses []v1alpha1.Access) (v1alpha1.Usage, []v1alpha1.Access) {
	newest := uses[len(uses)-1]
	usage := v1alpha1.Usage{
		Count:      b.usage.Count + int64(len(uses)),
		LastUsedAt: &metav1.Time{Time: newest.Time.Truncate(time.Second)},
		LastUsedBy: &v1alpha1.LastUse{Workflow: newest.Workflow, Node: newest.Node, Pod: newest.Pod},
	}
	recent := slices.Clone(uses)
	slices.Reverse(recent)
	return usage, append(recent, b.keep(v1alpha1.MaxRecentAccesses-len(uses))...)
}

// keep is recentAccesses shortened to n entries: the oldest go that no pin holds.
func (b *book) keep(n int) []v1alpha1.Access {
	kept := slices.Clone(b.recent)
	for i := len(kept) - 1; i >= 0 && len(kept) > n; i-- {
		if !b.holds(kept[i]) {
			kept = slices.Delete(kept, i, i+1)
		}
	}
	return kept
}

// enter notes that uses were recorded and that the status stands so.
func (b *book) enter(uses []v1alpha1.Access, version string, usage v1alpha1.Usage, recent []v1alpha1.Access) {
	b.version, b.usage, b.recent = version, usage, recent
	for _, use := range uses {
		// A pod that was forgotten meanwhile is gone, and needs no place.
		if m := b.marks[types.UID(use.PodUID)]; m != nil {
			m.counted = true
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

// serve notes that the pod's Secret is known to exist, and says whether its entry
// was kept until now.
func (b *book) serve(pod types.UID) (freed bool) {
	m := b.marks[pod]
	if m == nil || !m.pinned {
		return false
	}
	m.pinned = false
	return true
}

// forget drops what is known of a pod, and says whether its entry was kept until
// now.
func (b *book) forget(pod types.UID) (freed bool) {
	freed = b.serve(pod)
	delete(b.marks, pod)
	return freed
}

// idle says that nothing would be lost with the book.
func (b *book) idle() bool {
	for _, m := range b.marks {
		if m.asked || m.pinned {
			return false
		}
	}
	return true
}
