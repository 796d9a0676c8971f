namespace OciRegistry.Tests.Auth;

/// <summary>How clients prove who they are.</summary>
public enum AuthMode
{
    /// <summary>Nobody has to.</summary>
    Open,

    /// <summary>Name and password with each request.</summary>
    Basic,

    /// <summary>A token of the registry's own service; nothing else.</summary>
    Bearer,

    /// <summary>A token of another issuer; nothing else.</summary>
    Issuer,

    /// <summary>Each of them.</summary>
    Several,
}
