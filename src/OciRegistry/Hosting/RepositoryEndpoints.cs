using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Endpoints;
using OciRegistry.PullThrough;

namespace OciRegistry.Hosting;

/// <summary>
/// Maps one operation at a time onto the catch-all under <c>/v2/</c>, with its name and argument parsed before the handler
/// runs, and keeps the table from which 404 and 405 are answered.
/// </summary>
internal sealed class RepositoryEndpoints(RouteGroupBuilder v2)
{
    private const string CatchAll = "/{**path}";
    private readonly List<(RepositoryRoute Route, string Method, RegistryAction Action)> _table = [];
    private readonly RegistryRequest _request =
        ((IEndpointRouteBuilder)v2).ServiceProvider.GetRequiredService<RegistryRequest>();

    private readonly InterimResponses _interim =
        ((IEndpointRouteBuilder)v2).ServiceProvider.GetRequiredService<InterimResponses>();

    private readonly Upstreams _upstreams = ((IEndpointRouteBuilder)v2).ServiceProvider.GetRequiredService<Upstreams>();

    /// <summary>Maps an operation that is not about one repository.</summary>
    public void Map(string methods, RepositoryRoute route, Access needs, RequestDelegate handle) =>
        Map(methods, route, RegistryAction.Pull, _ => needs, handle);

    public void Map(
        string methods, RepositoryRoute route, RegistryAction action, Func<HttpContext, RepositoryName, Task> handle) =>
        Map(
            methods,
            route,
            action,
            context => TryReadName(context, out var name) ? Access.To(name, action) : Access.Open,
            context => !TryReadName(context, out var name) ? RefuseNameAsync(context)
                : IsNotOurs(name, action) ? RefusePushAsync(context, route)
                : handle(context, name));

    public void Map<T>(
        string methods, RepositoryRoute route, RegistryAction action, Func<HttpContext, RepositoryName, T, Task> handle)
        where T : struct, IParsable<T> =>
        Map(
            methods,
            route,
            action,
            context => !TryReadName(context, out var name) ? Access.Open
                : Access.To(name, action, TryReadArgument<T>(context, out var read) && read is UploadSessionId session ? session : null),
            context => !TryReadName(context, out var name) ? RefuseNameAsync(context)
                : IsNotOurs(name, action) ? RefusePushAsync(context, route)
                : TryReadArgument<T>(context, out var argument) ? handle(context, name, argument)
                : context.WriteErrorAsync(route.InvalidArgument(PathOf(context).Argument, action)));

    /// <summary>What no operation takes: 405 where another method would do, else 404.</summary>
    public void MapRest() =>
        v2.Map(CatchAll, context => _request.InvokeAsync(
                context,
                "/v2/{**path}",
                RegistryAction.Pull,
                Access.Open,
                [],
                rest =>
                {
                    var path = RepositoryPath.Parse(rest.Request.Path.Value);
                    return path is not null ? _request.RefuseAsync(rest, AllowedOn(path.Route))
                        : IsOneSlashTooLong(rest.Request) ? RedirectWithoutSlash(rest)
                        : rest.WriteErrorAsync(OciError.NotFound());
                }))
            .WithOrder(int.MaxValue)
            .WithDisplayName("/v2/{**path}");

    // As distribution does; some clients put a slash at the end of every address.
    private static bool IsOneSlashTooLong(HttpRequest request) =>
        (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method))
        && request.Path.Value is [.. var path, '/'] && path is not [.., '/']
        && RepositoryPath.Parse(path) is not null;

    private static Task RedirectWithoutSlash(HttpContext context)
    {
        var request = context.Request;
        context.Response.StatusCode = StatusCodes.Status301MovedPermanently;
        context.Response.Headers.Location =
            request.PathBase.Add(new PathString(request.Path.Value![..^1])).ToUriComponent() + request.QueryString.ToUriComponent();
        context.Response.ContentLength = 0;
        return Task.CompletedTask;
    }

    private void Map(
        string methods,
        RepositoryRoute route,
        RegistryAction action,
        Func<HttpContext, Access> needs,
        RequestDelegate handle)
    {
        var split = methods.Split(' ');
        RequestDelegate answer = action == RegistryAction.Push ? context => _interim.InvokeAsync(context, handle) : handle;
        _table.AddRange(split.Select(method => (route, method, action)));
        v2.MapMethods(
                CatchAll,
                split,
                context =>
                {
                    SayNamespace(context);
                    return _request.InvokeAsync(context, route.Template, action, needs(context), AllowedOn(route), answer);
                })
            .WithMetadata(route, action)
            .WithDisplayName($"{methods} {route.Template}");
    }

    /// <summary>The repository that the request is about, which with <c>?ns=</c> is not the one in its path.</summary>
    // A name that is none is nobody's secret: it is refused whoever asks.
    private bool TryReadName(HttpContext context, out RepositoryName name) =>
        RepositoryName.TryParse(PathOf(context).Name, out name)
        && (_upstreams.All.Count == 0 || _upstreams.TryFind(name, context.Request.Query["ns"], context.Request.Host.Value ?? "", out name));

    private static bool TryReadArgument<T>(HttpContext context, out T argument)
        where T : struct, IParsable<T> => T.TryParse(PathOf(context).Argument, provider: null, out argument);

    // spec.md#proxying: "it SHOULD return an OCI-Namespace header", for a namespace that we know.
    private void SayNamespace(HttpContext context)
    {
        if (_upstreams.All.Count > 0 && context.Request.Query["ns"].ToString() is { Length: > 0 } ns && _upstreams.Knows(ns))
        {
            context.Response.Headers["OCI-Namespace"] = ns;
        }
    }

    private bool IsNotOurs(RepositoryName name, RegistryAction action) =>
        action == RegistryAction.Push && _upstreams.Of(name) is { Options.AllowPush: false };

    private Task RefusePushAsync(HttpContext context, RepositoryRoute route) => _request.RefuseAsync(
        context,
        AllowedOn(route).Except(_table.Where(entry => entry.Route == route && entry.Action == RegistryAction.Push).Select(entry => entry.Method)),
        "What is in this repository comes from another registry; push there.");

    private Task RefuseNameAsync(HttpContext context) => context.WriteErrorAsync(
        !RepositoryName.TryParse(PathOf(context).Name, out var name) ? OciError.NameInvalid(PathOf(context).Name)
        : context.Request.Query["ns"].ToString() is { Length: > 0 } ns && !_upstreams.Knows(ns) ? OciError.NamespaceUnknown(name, ns)
        : OciError.NotBelowUpstream(name));

    private static RepositoryPath PathOf(HttpContext context) => context.Features.Get<RepositoryPath>()!;

    private IEnumerable<string> AllowedOn(RepositoryRoute route) =>
        _table.Where(entry => entry.Route == route && _request.IsAllowed(entry.Action)).Select(entry => entry.Method);
}
