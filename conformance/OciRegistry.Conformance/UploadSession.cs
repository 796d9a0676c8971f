using System.Globalization;

namespace OciRegistry.Conformance;

/// <summary>One blob upload as a client sees it: a Location that each answer may change.</summary>
internal sealed class UploadSession
{
    private readonly Registry _registry;

    public UploadSession(Registry registry, Answer started)
    {
        _registry = registry;
        Location = started.Location;
        // OCI-Chunk-Min-Length binds the client for every chunk but the last.
        _ = int.TryParse(started.Optional("OCI-Chunk-Min-Length"), CultureInfo.InvariantCulture, out var minimum);
        ChunkSize = Math.Max(1024, minimum);
    }

    public Uri Location { get; private set; }

    public int ChunkSize { get; }

    /// <summary>A blob of three chunks, the last of them a short one.</summary>
    public Blob ThreeChunks(string algorithm = Digest.Sha256) => Blob.Random((3 * ChunkSize) - 5, algorithm);

    /// <summary>end-5 without Content-Range: what most clients send.</summary>
    public Request Append(byte[] bytes) =>
        _registry.Request("PATCH", Location).WithBody(bytes, "application/octet-stream");

    /// <summary>end-5 as the spec has it: a chunk that says where it begins.</summary>
    public Request AppendAt(long first, byte[] chunk) =>
        Append(chunk).WithContentRange(first, first + chunk.Length - 1);

    /// <summary>end-6: closes the session; an empty body when everything was sent before.</summary>
    public Request Complete(Digest digest, byte[]? last = null) =>
        _registry.Request("PUT", LocationWith($"digest={digest}"))
            .WithBody(last ?? [], last is null ? null : "application/octet-stream");

    public Request Status() => _registry.Request("GET", Location);

    public Request Cancel() => _registry.Request("DELETE", Location);

    /// <summary>The same session, and what the client adds to its query: the spec lets the query carry state.</summary>
    public Uri LocationWith(string query)
    {
        var location = Location.AbsoluteUri;
        return new Uri($"{location}{(location.Contains('?') ? '&' : '?')}{query}");
    }

    /// <summary>Goes on at the Location that an accepted chunk was answered with.</summary>
    public void Follow(Answer accepted) => Location = accepted.Location;

    /// <summary>Sends a chunk that must be taken, so that the check can go on after it.</summary>
    public async Task AppendAsync(long first, byte[] chunk)
    {
        Follow(await AppendAt(first, chunk).Answers(202, "precondition: a chunk in order"));
    }

    /// <summary>The session is alive and holds this many bytes.</summary>
    public async Task HoldsAsync(long bytes)
    {
        var status = await Status().Answers(204, "the session lives on");
        if (bytes > 0)
        {
            status.Has("Range", $"0-{bytes - 1}");
        }
    }
}
