namespace OciRegistry.Repositories;

/// <summary>
/// What a client wants to be true of a tag or manifest before it changes it (RFC 9110 §13): entity tags are digests.
/// </summary>
/// <param name="Match">If-Match: the present digest is one of these; empty for "*"; null when not asked.</param>
/// <param name="NoneMatch">If-None-Match: the present digest is none of these; empty for "*"; null when not asked.</param>
internal readonly record struct Precondition(IReadOnlyList<string>? Match, IReadOnlyList<string>? NoneMatch)
{
    public static Precondition None => default;

    public bool IsNone => Match is null && NoneMatch is null;

    public bool Allows(Digest? current)
    {
        var text = current?.ToString();
        var matches = Match is null || (text is not null && (Match.Count == 0 || Match.Contains(text)));
        var differs = NoneMatch is null || text is null || (NoneMatch.Count > 0 && !NoneMatch.Contains(text));
        return matches && differs;
    }
}
