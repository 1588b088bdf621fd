package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is usersecrets.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "usersecrets.dev", Version: "v1alpha1"}

// AddToScheme adds every kind of this package to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&UserSecret{}, &UserSecretList{},
		&SecretProvider{}, &SecretProviderList{},
		&EncryptionKey{}, &EncryptionKeyList{},
		&SealingKey{}, &SealingKeyList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
