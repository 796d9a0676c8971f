namespace OciRegistry.IntegrationTests.Support;

/// <summary>A registry as a process of its own that another one pulls through, and that comes back when it was killed.</summary>
internal interface IUpstreamRegistry : IAsyncDisposable
{
    /// <summary>Address and port.</summary>
    string Host { get; }

    HttpClient Http { get; }

    /// <summary>Ends it at once, as a lost machine would.</summary>
    Task KillAsync();

    /// <summary>Starts it again where it was, with what it had.</summary>
    Task RestartAsync();
}
