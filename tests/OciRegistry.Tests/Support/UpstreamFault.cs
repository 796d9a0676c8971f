namespace OciRegistry.Tests.Support;

/// <summary>What a <see cref="FakeUpstream"/> does instead of answering as it should; all that is not set stays as it should be.</summary>
internal sealed record UpstreamFault
{
    public int? Status { get; init; }

    public string? RetryAfter { get; init; }

    /// <summary>Awaited before anything is answered; what the answer says is looked up after it.</summary>
    public Func<Task>? Before { get; init; }

    /// <summary>The connection breaks after so many bytes of the body; at -1 before the head.</summary>
    public long? CutsAfter { get; init; }

    /// <summary>Awaited before each piece of 16 KiB, with the bytes that were sent so far.</summary>
    public Func<long, Task>? Paces { get; init; }

    /// <summary>
    /// The body's length instead of the content's, on the wire and in the head: the content's beginning, or the content over
    /// and over. With <see cref="CutsAfter"/> the head promises more than comes.
    /// </summary>
    public long? ClaimsLength { get; init; }

    /// <summary>The head tells no length.</summary>
    public bool IsChunked { get; init; }

    /// <summary>Instead of the content.</summary>
    public byte[]? Body { get; init; }

    /// <summary>A redirect there: 307, when <see cref="Status"/> says nothing else.</summary>
    public string? RedirectsTo { get; init; }

    /// <summary>Headers besides those of the answer, or instead of them.</summary>
    public Dictionary<string, string> Headers { get; init; } = [];

    /// <summary>A request for a part is answered with the whole.</summary>
    public bool IgnoresRange { get; init; }
}
