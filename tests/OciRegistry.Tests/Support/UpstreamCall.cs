namespace OciRegistry.Tests.Support;

/// <summary>A request that a <see cref="FakeUpstream"/> got.</summary>
internal sealed record UpstreamCall(
    string Method,
    string Path,
    string Query,
    string? Range,
    string? Authorization,
    IReadOnlyDictionary<string, string> Headers);
