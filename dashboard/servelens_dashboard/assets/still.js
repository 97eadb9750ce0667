// Parts of a page that no callback knows, drawn as they are; components/still.py packs them.
(function () {
  "use strict";

  const { Fragment, createElement } = window.React;
  const HTML = "dash_html_components";
  const silent = () => {};

  // An element of HTML is the browser's own; a link is Dash's, which knows the way without a reload.
  function kindOf({ namespace, type }) {
    if (namespace === HTML) return [type.toLowerCase(), {}];
    return [window[namespace][type], { setProps: silent }];
  }

  function draw(part) {
    if (Array.isArray(part)) return together(part);
    if (!part || !part.props) return part;
    const [kind, more] = kindOf(part);
    const { children, ...props } = part.props;
    if (props.href) props.href = window.dash_clientside.clean_url(props.href);
    return createElement(kind, { ...props, ...more }, ...[children].flat().map(draw));
  }

  const together = (parts) => createElement(Fragment, null, ...parts.map(draw));

  window.servelens = window.servelens || {};
  window.servelens.Still = ({ parts }) => together(parts);
})();
