using Microsoft.AspNetCore.Http;
using OciRegistry.Auth;

namespace OciRegistry.Endpoints;

internal enum AccessKind
{
    /// <summary>Anybody.</summary>
    Open,

    /// <summary>Somebody who has logged in, or has a token of the registry.</summary>
    LoggedIn,

    /// <summary>Somebody who may do something in a repository.</summary>
    Repository,

    /// <summary>Somebody who may see any repository.</summary>
    Catalog,

    /// <summary>Whoever administers some repositories; the endpoint looks which.</summary>
    Admin,

    /// <summary>An operator, who administers all of them.</summary>
    Operator,
}

/// <summary>What a request needs; every endpoint says it.</summary>
internal readonly record struct Access(
    AccessKind Kind, RepositoryName Repository = default, Rights Rights = Rights.None, UploadSessionId? Session = null)
{
    public static Access Open => default;

    public static Access LoggedIn => new(AccessKind.LoggedIn);

    public static Access Catalog => new(AccessKind.Catalog);

    public static Access Admin => new(AccessKind.Admin);

    public static Access Operator => new(AccessKind.Operator);

    /// <param name="repository">Where.</param>
    /// <param name="action">What.</param>
    /// <param name="session">The upload session that it is about: it may go on with the token that it was started with.</param>
    public static Access To(RepositoryName repository, RegistryAction action, UploadSessionId? session = null) => new(
        AccessKind.Repository,
        repository,
        action switch
        {
            RegistryAction.Pull => Rights.Pull,
            RegistryAction.Delete => Rights.Delete,
            _ => Rights.Create,
        },
        session);
}

/// <summary>Who sends a request, and what it may do where the request goes.</summary>
internal sealed record Granted(Caller Caller, Rights Rights)
{
    /// <summary>Where nobody has to log in.</summary>
    public static Granted Everything { get; } = new(Caller.Anonymous, Rights.InRepository | Rights.Admin);
}

internal static class GrantedExtensions
{
    /// <summary>What was found before the endpoint was called.</summary>
    public static Granted Granted(this HttpContext context) => context.Features.Get<Granted>() ?? Endpoints.Granted.Everything;
}
