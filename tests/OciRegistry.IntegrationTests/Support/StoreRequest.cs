using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>One request of a registry to its blob service.</summary>
/// <param name="Operation">What it is called in Azure's reference, such as Put Block List.</param>
/// <param name="Blob">Which blob it is about, without account and container; empty when it is about none.</param>
internal sealed record StoreRequest(string Operation, string Blob)
{
    public bool IsWrite => Operation is not ("Get Blob" or "Get Blob Properties" or "Get Block List" or "List Blobs");

    /// <summary>Pointers, and what they lead to.</summary>
    public bool IsContent =>
        Blob.StartsWith("blobs/", StringComparison.Ordinal) || Blob.StartsWith("_data/", StringComparison.Ordinal);

    /// <summary>Whether it has an If-Match or an If-None-Match.</summary>
    public bool IsConditional { get; init; }

    /// <summary>The trace context that it came with; empty without any.</summary>
    public string TraceParent { get; init; } = "";

    public static StoreRequest Of(HttpRequest request)
    {
        var (method, component) = (request.Method, request.Query["comp"].ToString());
        var path = request.Path.Value!.Split('/', 4);
        var blob = path.Length == 4 ? path[3] : "";
        var operation = (method, component) switch
        {
            (_, "list") => "List Blobs",
            ("PUT", "block") => "Put Block",
            ("PUT", "blocklist") => "Put Block List",
            ("GET", "blocklist") => "Get Block List",
            ("PUT", "metadata") => "Set Blob Metadata",
            ("PUT", "") when blob.Length == 0 => "Create Container",
            ("PUT", "") => "Put Blob",
            ("GET", "") => "Get Blob",
            ("HEAD", "") => "Get Blob Properties",
            ("DELETE", "") => "Delete Blob",
            _ => string.Create(CultureInfo.InvariantCulture, $"{method} {component}"),
        };
        return new StoreRequest(operation, blob)
        {
            TraceParent = request.Headers.TraceParent.ToString(),
            IsConditional = request.Headers.IfMatch.Count > 0 || request.Headers.IfNoneMatch.Count > 0,
        };
    }
}

/// <summary>What the proxy does to one request.</summary>
internal sealed record StoreFault
{
    /// <summary>Before it is passed on.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>Answers this instead of passing it on.</summary>
    public int? Status { get; init; }

    /// <summary>With this error code.</summary>
    public string Code { get; init; } = "ServerBusy";

    /// <summary>Passes it on, and lets the answer get lost: the connection breaks.</summary>
    public bool LosesAnswer { get; init; }

    /// <summary>Passes an answer's body on for so many bytes, and breaks the connection.</summary>
    public long? BreaksAfter { get; init; }

    /// <summary>Done when it has been passed on and was answered, before the answer goes back.</summary>
    public Func<Task>? After { get; init; }
}
