package projection

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what is remembered of one pod between two looks.
type memory struct {
	pod types.UID
	// issued is its projection, or nil where none is known.
	issued *issued
	// told is why the pod waits, as it was last told.
	told string
}

// memories are those of all pods that were met, by name. Looks at pods of one
// name never overlap, so what is read stays true until the same look writes.
type memories struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]memory
}

// of is what is remembered under a name; nothing is the zero memory.
func (m *memories) of(name types.NamespacedName) memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byName[name]
}

// meet notes that a pod of that name was seen, where nothing is known of it.
func (m *memories) meet(name types.NamespacedName, pod types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byName == nil {
		m.byName = map[types.NamespacedName]memory{}
	}
	if m.byName[name].pod != pod {
		m.byName[name] = memory{pod: pod}
	}
}

// issued notes a pod's projection; nil forgets it.
func (m *memories) issued(name types.NamespacedName, i *issued) {
	m.change(name, func(known *memory) { known.issued = i })
}

// tell notes why a pod waits, and says whether that is new, and whether it is
// the first that is told of the pod. An empty reason says that it waits no more.
func (m *memories) tell(name types.NamespacedName, why string) (changed, first bool) {
	m.change(name, func(known *memory) {
		changed, first = known.told != why, known.told == ""
		known.told = why
	})
	return changed, first
}

func (m *memories) change(name types.NamespacedName, by func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.byName[name]
	if !ok {
		return
	}
	by(&known)
	m.byName[name] = known
}

func (m *memories) drop(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byName, name)
}
