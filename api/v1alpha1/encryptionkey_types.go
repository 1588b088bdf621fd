package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EncryptionKeySpec is empty: creating an EncryptionKey is all there is to rotating.
type EncryptionKeySpec struct{}

// KeyPhase is the phase of an encryption key.
//
// +kubebuilder:validation:Enum=Pending;Active;Retiring;Retired
type KeyPhase string

const (
	// KeyPending is a key that has no material yet.
	KeyPending KeyPhase = "Pending"
	// KeyActive is the key that new values are sealed with.
	KeyActive KeyPhase = "Active"
	// KeyRetiring is a key that a newer one took over from; values sealed with it still open.
	KeyRetiring KeyPhase = "Retiring"
	// KeyRetired is a key that no UserSecret is sealed with any more.
	KeyRetired KeyPhase = "Retired"
)

// Reasons of an EncryptionKey's condition Ready.
const (
	// ReasonMaterialLoaded: the vault holds the key's material.
	ReasonMaterialLoaded = "MaterialLoaded"
	// ReasonNoMaterial: the key has no material yet.
	ReasonNoMaterial = "NoMaterial"
	// ReasonMaterialAltered: the Secret with the key's material was changed by hand.
	ReasonMaterialAltered = "MaterialAltered"
	// ReasonMaterialMissing: the Secret with the key's material is gone.
	ReasonMaterialMissing = "MaterialMissing"
	// ReasonWrongRootKey: the material is wrapped by a root key that the operator
	// was not given.
	ReasonWrongRootKey = "WrongRootKey"
	// ReasonRootKeyUnavailable: the root key's KMS does not answer.
	ReasonRootKeyUnavailable = "RootKeyUnavailable"
)

// EncryptionKeyStatus is what the operator observed of an encryption key.
type EncryptionKeyStatus struct {
	// observedGeneration is the generation that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Ready.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// keyID is the name and 8 hexadecimal digits of the fingerprint of the
	// key's material: two different keys never share it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID,omitempty"`

	// sequence orders the keys: the one with the highest is the newest. It is bound
	// to the key's material.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sequence int64 `json:"sequence,omitempty"`

	// phase says what the key is used for.
	//
	// +optional
	Phase KeyPhase `json:"phase,omitempty"`

	// sealedSecrets is the number of UserSecrets sealed with this key.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	SealedSecrets int64 `json:"sealedSecrets"`

	// progress says how far the rotation towards this key has come, such as
	// "120/500".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Progress string `json:"progress,omitempty"`

	// rootKeyID identifies the root key that wraps the key's material.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	RootKeyID string `json:"rootKeyID,omitempty"`

	// rewrapRequest is the annotation usersecrets.dev/rewrap-requested-at that was
	// last acted on.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	RewrapRequest string `json:"rewrapRequest,omitempty"`
}

// EncryptionKey is a version of the vault's master key. Its material lies
// wrapped by the root key in a Secret of the operator's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ekey,categories=usersecret-operator
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')",message="the name of an EncryptionKey must be lower case letters, digits and '-', at most 40 characters, such as v2"
// +kubebuilder:printcolumn:name="Key",type=string,JSONPath=`.status.keyID`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Secrets",type=integer,JSONPath=`.status.sealedSecrets`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Root-Key",type=string,priority=1,JSONPath=`.status.rootKeyID`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
type EncryptionKey struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata. The name starts the key id.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is empty.
	//
	// +optional
	Spec EncryptionKeySpec `json:"spec,omitempty"`

	// status is what the operator observed.
	//
	// +optional
	Status EncryptionKeyStatus `json:"status,omitempty"`
}

// EncryptionKeyList is a list of EncryptionKeys.
//
// +kubebuilder:object:root=true
type EncryptionKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EncryptionKey `json:"items"`
}
