package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Kinds that are not Kubernetes' own, and that no package of Debian has: the fields of them that the charts may use, written
// down from their reference (https://gateway-api.sigs.k8s.io/reference/spec, https://prometheus-operator.dev/docs/api-reference/api).

type httpRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRefs []struct {
			Group       *string `json:"group"`
			Kind        *string `json:"kind"`
			Namespace   *string `json:"namespace"`
			Name        string  `json:"name"`
			SectionName *string `json:"sectionName"`
			Port        *int32  `json:"port"`
		} `json:"parentRefs"`
		Hostnames []string `json:"hostnames"`
		Rules     []struct {
			Name    *string `json:"name"`
			Matches []struct {
				Path *struct {
					Type  *string `json:"type"`
					Value *string `json:"value"`
				} `json:"path"`
			} `json:"matches"`
			Timeouts *struct {
				Request        *metav1.Duration `json:"request"`
				BackendRequest *metav1.Duration `json:"backendRequest"`
			} `json:"timeouts"`
			BackendRefs []struct {
				Group     *string `json:"group"`
				Kind      *string `json:"kind"`
				Namespace *string `json:"namespace"`
				Name      string  `json:"name"`
				Port      *int32  `json:"port"`
				Weight    *int32  `json:"weight"`
			} `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
}

type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel          string   `json:"jobLabel"`
		TargetLabels      []string `json:"targetLabels"`
		NamespaceSelector struct {
			Any        bool     `json:"any"`
			MatchNames []string `json:"matchNames"`
		} `json:"namespaceSelector"`
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port              string           `json:"port"`
			Path              string           `json:"path"`
			Scheme            string           `json:"scheme"`
			Interval          *metav1.Duration `json:"interval"`
			ScrapeTimeout     *metav1.Duration `json:"scrapeTimeout"`
			HonorLabels       bool             `json:"honorLabels"`
			TLSConfig         *tlsConfig       `json:"tlsConfig"`
			Relabelings       []relabeling     `json:"relabelings"`
			MetricRelabelings []relabeling     `json:"metricRelabelings"`
		} `json:"endpoints"`
	} `json:"spec"`
}

type tlsConfig struct {
	CA                 *secretOrConfigMap `json:"ca"`
	Cert               *secretOrConfigMap `json:"cert"`
	KeySecret          *keySelector       `json:"keySecret"`
	ServerName         *string            `json:"serverName"`
	InsecureSkipVerify *bool              `json:"insecureSkipVerify"`
}

type secretOrConfigMap struct {
	Secret    *keySelector `json:"secret"`
	ConfigMap *keySelector `json:"configMap"`
}

type keySelector struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	Optional *bool  `json:"optional"`
}

type relabeling struct {
	SourceLabels []string `json:"sourceLabels"`
	Separator    *string  `json:"separator"`
	TargetLabel  string   `json:"targetLabel"`
	Regex        string   `json:"regex"`
	Modulus      uint64   `json:"modulus"`
	Replacement  *string  `json:"replacement"`
	Action       string   `json:"action"`
}

type prometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Groups []struct {
			Name                    string            `json:"name"`
			Labels                  map[string]string `json:"labels"`
			Interval                *string           `json:"interval"`
			Limit                   *int              `json:"limit"`
			PartialResponseStrategy string            `json:"partial_response_strategy"`
			Rules                   []struct {
				Record        string             `json:"record"`
				Alert         string             `json:"alert"`
				Expr          intstr.IntOrString `json:"expr"`
				For           *string            `json:"for"`
				KeepFiringFor *string            `json:"keep_firing_for"`
				Labels        map[string]string  `json:"labels"`
				Annotations   map[string]string  `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}
