package verification

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// finding is what a test found, or why there was none.
type finding struct {
	uid     types.UID
	record  *v1alpha1.VerificationStatus
	verdict *metav1.Condition
	err     error
}

// findings are what status does not show yet, as far as the cache knows it. The
// cache may be behind the last write, and nothing is tested twice for that.
type findings struct {
	mu     sync.Mutex
	byName map[types.NamespacedName]finding
}

func (f *findings) keep(name types.NamespacedName, found finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byName == nil {
		f.byName = map[types.NamespacedName]finding{}
	}
	f.byName[name] = found
}

// of is what was found of the UserSecret with this UID.
func (f *findings) of(name types.NamespacedName, uid types.UID) (finding, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.byName[name]
	return found, ok && found.uid == uid && found.err == nil
}

// failure is why there was no test. It is told once.
func (f *findings) failure(name types.NamespacedName) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.byName[name].err
	if err != nil {
		delete(f.byName, name)
	}
	return err
}

func (f *findings) drop(name types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byName, name)
}
