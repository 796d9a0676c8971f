namespace OciRegistry.Auth;

/// <summary>What somebody may do in a repository; <see cref="Admin"/> in the registry.</summary>
[Flags]
internal enum Rights
{
    None = 0,
    Pull = 1,

    /// <summary>Push what is new: blobs, manifests, tags that nobody has set.</summary>
    Create = 2,

    /// <summary>Have tags that exist name another manifest.</summary>
    MoveTags = 4,
    Delete = 8,
    Admin = 16,

    Push = Create | MoveTags,
    InRepository = Pull | Push | Delete,
}

internal static class RightsNames
{
    /// <summary>What the actions of a policy allow.</summary>
    public static Rights OfPolicy(IEnumerable<string> actions) => actions.Aggregate(
        Rights.None,
        (rights, action) => rights | action switch
        {
            "pull" => Rights.Pull,
            "push" => Rights.Push,
            "create-only" => Rights.Create,
            "delete" => Rights.Delete,
            "admin" => Rights.Admin,
            _ => Rights.None,
        });

    /// <summary>
    /// What the actions of a token's scope allow: <c>*</c> is all of them. A token does not know create-only; what the policy
    /// says of its subject counts as well.
    /// </summary>
    public static Rights OfScope(IEnumerable<string> actions) => actions.Aggregate(
        Rights.None,
        (rights, action) => rights | action switch
        {
            "pull" => Rights.Pull,
            "push" => Rights.Push,
            "delete" => Rights.Delete,
            "*" => Rights.InRepository,
            _ => Rights.None,
        });

    /// <summary>The actions of a token's scope that stand for these rights.</summary>
    public static IReadOnlyList<string> ToScope(this Rights rights) =>
    [
        .. rights.HasFlag(Rights.Pull) ? ["pull"] : Array.Empty<string>(),
        .. rights.HasFlag(Rights.Create) ? ["push"] : Array.Empty<string>(),
        .. rights.HasFlag(Rights.Delete) ? ["delete"] : Array.Empty<string>(),
    ];

    /// <summary>The actions of a policy that stand for these rights.</summary>
    public static IReadOnlyList<string> ToPolicy(this Rights rights) =>
    [
        .. rights.HasFlag(Rights.Pull) ? ["pull"] : Array.Empty<string>(),
        .. rights.HasFlag(Rights.Push) ? ["push"] : rights.HasFlag(Rights.Create) ? ["create-only"] : Array.Empty<string>(),
        .. rights.HasFlag(Rights.Delete) ? ["delete"] : Array.Empty<string>(),
        .. rights.HasFlag(Rights.Admin) ? ["admin"] : Array.Empty<string>(),
    ];
}
