namespace OciRegistry.Tests.Support;

/// <summary>A request that a <see cref="FakeUpstream"/> got.</summary>
internal sealed record UpstreamCall(
    string Method,
    string Path,
    string Query,
    string? Range,
    string? Authorization,
    IReadOnlyDictionary<string, string> Headers)
{
    /// <summary>The name in the certificate that the client showed; null when it showed none.</summary>
    public string? ClientCertificate { get; init; }
}
