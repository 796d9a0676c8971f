using System.Net;
using Microsoft.AspNetCore.Routing.Matching;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using OciRegistry.Endpoints;

namespace OciRegistry.Server;

/// <summary>
/// The addresses of <see cref="OperationsOptions.Urls"/>, on which health, metrics and the admin API are answered, and the registry is
/// not. A connection knows which of both it was made to: a Host header, which any client can choose, decides nothing.
/// </summary>
internal sealed class OperationsPort
{
    private readonly List<ListenOptions> _listening = []; // all of them before the server starts

    public static void Configure(WebApplicationBuilder builder)
    {
        if (Listening.OperationsUrls(builder.Configuration).Count == 0)
        {
            return;
        }

        builder.Services.AddSingleton<MatcherPolicy, PortPolicy>();
        builder.Services.AddOptions<KestrelServerOptions>().PostConfigure<IConfiguration, OperationsPort>((kestrel, configuration, port) =>
        {
            foreach (var name in Listening.OperationsEndpoints(configuration))
            {
                kestrel.ConfigurationLoader!.Endpoint(name, endpoint =>
                {
                    port._listening.Add(endpoint.ListenOptions);
                    endpoint.ListenOptions.Use(next => connection =>
                    {
                        connection.Features.Set(OperationsConnection.Mark);
                        return next(connection);
                    });
                });
            }
        });
    }

    /// <summary>Whether a connection to this endpoint is one for operations.</summary>
    public bool Has(ListenOptions endpoint) => _listening.Contains(endpoint);

    /// <summary>Whether this is one of the addresses that the server listens on for operations.</summary>
    public bool Has(string url)
    {
        var address = BindingAddress.Parse(url);
        return _listening.Any(one => address.IsUnixPipe
            ? one.SocketPath == address.UnixPipePath
            : one.IPEndPoint is { } end
                && end.Port == address.Port
                && (!IPAddress.TryParse(address.Host, out var own) || own.Equals(end.Address)));
    }

    /// <summary>Has endpoints answered on the addresses for operations, or on those of the registry alone.</summary>
    public static void Restrict(IEndpointConventionBuilder endpoints, bool isForOperations) =>
        endpoints.WithMetadata(new Restriction(isForOperations));

    private sealed record Restriction(bool IsForOperations);

    private sealed class PortPolicy : MatcherPolicy, IEndpointSelectorPolicy
    {
        public override int Order => 900;

        public bool AppliesToEndpoints(IReadOnlyList<Endpoint> endpoints) =>
            endpoints.Any(endpoint => endpoint.Metadata.GetMetadata<Restriction>() is not null);

        public Task ApplyAsync(HttpContext httpContext, CandidateSet candidates)
        {
            var isForOperations = OperationsConnection.Is(httpContext);
            for (var i = 0; i < candidates.Count; i++)
            {
                if (candidates.IsValidCandidate(i)
                    && candidates[i].Endpoint.Metadata.GetMetadata<Restriction>() is { } restriction
                    && restriction.IsForOperations != isForOperations)
                {
                    candidates.SetValidity(i, false);
                }
            }

            return Task.CompletedTask;
        }
    }
}
