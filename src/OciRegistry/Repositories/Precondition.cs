namespace OciRegistry.Repositories;

/// <summary>
/// What a client wants to be true of a tag or manifest before it changes it (RFC 9110 §13): entity tags are digests.
/// </summary>
/// <param name="Match">If-Match: the present digest is one of these; null when not asked.</param>
/// <param name="NoneMatch">If-None-Match: the present digest is none of these; null when not asked.</param>
internal readonly record struct Precondition(IReadOnlyList<string>? Match, IReadOnlyList<string>? NoneMatch)
{
    /// <summary>In a list: whatever there is.</summary>
    public const string Any = "*";

    public static Precondition None => default;

    public bool IsNone => Match is null && NoneMatch is null;

    public bool Allows(Digest? current)
    {
        var text = current?.ToString();
        return (Match is null || Names(Match, text)) && (NoneMatch is null || !Names(NoneMatch, text));
    }

    private static bool Names(IReadOnlyList<string> list, string? current) =>
        current is not null && (list.Contains(Any) || list.Contains(current));
}
