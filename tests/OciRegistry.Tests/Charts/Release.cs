using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Charts;

/// <summary>The objects of Kubernetes that one file of values becomes.</summary>
internal sealed record Release(IReadOnlyList<JsonObject> Objects)
{
    /// <summary>The Deployment or StatefulSet of the registry itself.</summary>
    public JsonObject Workload => Workloads.Single(workload => Labels(workload)["app.kubernetes.io/component"] == "registry");

    public IEnumerable<JsonObject> Workloads => Objects.Where(one => Kind(one) is "Deployment" or "StatefulSet");

    /// <summary>The pods that the objects are or make, with the name of what makes them.</summary>
    public IEnumerable<(string Name, JsonObject Pod)> Pods =>
    [
        .. Workloads.Select(workload => (Name(workload), workload["spec"]!["template"]!.AsObject())),
        .. OfKind("Pod").Select(pod => (Name(pod), pod)),
    ];

    /// <summary>The container of the server.</summary>
    public JsonObject Server => Spec(Workload["spec"]!["template"]!)["containers"]!.AsArray()
        .Single(container => (string?)container!["name"] == "registry")!.AsObject();

    public IEnumerable<JsonObject> OfKind(string kind) => Objects.Where(one => Kind(one) == kind);

    public JsonObject? Find(string kind, string name) => OfKind(kind).SingleOrDefault(one => Name(one) == name);

    public static string Kind(JsonNode one) => (string)one["kind"]!;

    public static string Name(JsonNode one) => (string)one["metadata"]!["name"]!;

    public static JsonObject Spec(JsonNode one) => one["spec"]!.AsObject();

    public static Dictionary<string, string> Labels(JsonNode one) => Texts(one["metadata"]!["labels"]);

    public static Dictionary<string, string> Annotations(JsonNode one) => Texts(one["metadata"]!["annotations"]);

    public static Dictionary<string, string> Texts(JsonNode? map) =>
        map?.AsObject().ToDictionary(pair => pair.Key, pair => (string)pair.Value!) ?? [];

    /// <summary>The containers of a pod, those that run before the others included.</summary>
    public static IEnumerable<JsonObject> Containers(JsonNode pod) =>
        Entries(Spec(pod)["initContainers"]).Concat(Entries(Spec(pod)["containers"]));

    /// <summary>A list of objects, which may be missing.</summary>
    public static IEnumerable<JsonObject> Entries(JsonNode? list) => list?.AsArray().Select(entry => entry!.AsObject()) ?? [];

    /// <summary>Whether labels are among those that a selector wants.</summary>
    public static bool Selects(JsonNode selector, IReadOnlyDictionary<string, string> labels) =>
        Texts(selector).All(pair => labels.GetValueOrDefault(pair.Key) == pair.Value);

    public IEnumerable<(string Name, JsonObject Pod)> PodsOf(JsonNode selector) =>
        Pods.Where(one => Selects(selector, Labels(one.Pod)));
}
